# JupyterLab on the tour: `docker build -t stellar_gen .`, then
# `docker run --rm -p 127.0.0.1:8888:8888 stellar_gen`, and open the address that it prints.
# An index that has torch for the CPU alone makes the image smaller: `--build-arg PIP_EXTRA_INDEX_URL=...`
FROM python:3.11-slim-bookworm

ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 1000 reader
WORKDIR /home/reader/stellar_gen
COPY --chown=reader:reader . .
RUN python -m pip install -c constraints.txt '.[notebooks]'

USER 1000
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--LabApp.default_url=/lab/tree/nbs/tour.ipynb"]
