"Every notebook is a test: nbdev's own runner, one case a notebook"
from pathlib import Path

import pytest
from nbdev.test import test_nb as run_notebook

NBS = sorted((Path(__file__).parent.parent/'nbs').glob('[!_.]*.ipynb'))

@pytest.mark.parametrize('nb', NBS, ids=lambda p: p.stem)
def test_notebook(nb, root, capfd):
    ok,_ = run_notebook(nb.resolve(), skip_flags=['slow','cuda'], basepath=root)
    assert ok, capfd.readouterr().err[-3000:]

def test_there_are_notebooks(): assert len(NBS)>=10
