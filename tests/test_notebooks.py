"Every notebook is a test: nbdev's own runner, one case a notebook, each in a process of its own"
import contextlib
import io
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

import pytest

NBS = sorted((Path(__file__).parent.parent / 'nbs').glob('[!_.]*.ipynb'))
LEFT_OUT = ['slow', 'cuda']  # cells with these flags


def run(notebook, root, method):
    "Whether a notebook runs, and what it says if it does not; the process ends with all that the notebook has made"
    from joblib.externals.loky import get_reusable_executor
    from nbdev.test import test_nb
    os.chdir(root)
    multiprocessing.set_start_method(method, force=True)  # as in a program of its own
    said = io.StringIO()
    with contextlib.redirect_stderr(said), patch('matplotlib.interactive'):  # else each figure is drawn twice
        ok, _ = test_nb(notebook, skip_flags=LEFT_OUT, basepath=root)
    get_reusable_executor().shutdown(kill_workers=True)  # joblib's workers, for which the process would wait for ever
    return ok, said.getvalue()


@pytest.fixture(scope='session')
def copies():
    "Where processes are copied from one that has imported what most notebooks need, and done nothing else"
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['imported'])
    with contextlib.chdir(Path(__file__).parent):  # where the first of them looks for modules
        forkserver.ensure_running()
    return context


@pytest.mark.parametrize('nb', NBS, ids=lambda p: p.stem)
def test_notebook(nb, root, copies):
    with ProcessPoolExecutor(1, mp_context=copies) as pool:
        ok, said = pool.submit(run, nb.resolve(), root, multiprocessing.get_start_method()).result()
    assert ok, said[-3000:]


def test_there_are_notebooks():
    assert len(NBS) >= 10
