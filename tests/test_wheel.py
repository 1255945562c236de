"The wheel: what is in it, what it says of itself, and that in an empty environment it scores a real star"
import email
import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from wheel_environment import Environment, build, built, sh

ASSETS = 17
EXTRAS = {'notebooks', 'maps', 'explain', 'flows', 'big', 'interop', 'hub', 'onnx', 'track', 'access', 'explore', 'docs', 'dev'}
PYTHONS = (11, 12, 13)
OTHER = 'STELLAR_GEN_PYTHON'  # in this variable, where it is set: another Python to install the wheel for
READY = 'STELLAR_GEN_WHEEL'   # in this one, where it is set: a folder of `tools/wheel_environment.py`; OTHER is of no use then
LESSON = 'tour'  # the one that people run first


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "Of the wheel and its environment, which is gone after the tests: it takes gigabytes"
    if READY in os.environ:
        yield Path(os.environ[READY]).resolve()
        return
    made = tmp_path_factory.mktemp('wheel')
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope='module')
def wheel(folder):
    return built(folder) if READY in os.environ else build(folder)


def test_wheel_holds_the_package_alone(root, wheel):
    "Every module, also what families hand on by, the data files, and nothing else"
    names = zipfile.ZipFile(wheel).namelist()
    modules = {str(p.relative_to(root)) for p in (root / 'stellar_gen').rglob('*.py')}
    assert {n for n in names if n.endswith('.py')} == modules
    assert {'stellar_gen/_lazy.py', 'stellar_gen/data/__init__.py'} <= modules
    assert sum(n.startswith('stellar_gen/assets/') for n in names) == ASSETS
    assert {'stellar_gen/py.typed', 'stellar_gen/stellar_gen.mplstyle'} <= set(names)
    assert not [n for n in names if not n.startswith(('stellar_gen/', 'stellar_gen-'))]


def test_wheel_describes_itself(wheel):
    sh(sys.executable, '-m', 'twine', 'check', '--strict', wheel)
    z = zipfile.ZipFile(wheel)
    meta = email.message_from_bytes(z.read(next(n for n in z.namelist() if n.endswith('METADATA'))))
    classifiers = {f'Programming Language :: Python :: 3.{v}' for v in PYTHONS} | {'Typing :: Typed'}
    assert classifiers <= set(meta.get_all('Classifier'))
    links = {u.split(',')[0] for u in meta.get_all('Project-URL')}
    assert links == {'Documentation', 'Source', 'Issues', 'Changelog', 'Citation'}
    assert set(meta.get_all('Provides-Extra')) == EXTRAS
    assert not re.findall(r'\]\((?!https?://)[^)]*\)', meta.get_payload()), 'links that lead nowhere on a package index'


@pytest.fixture(scope='module')
def installed(folder, wheel):
    "The wheel in an environment of its own"
    here = Environment(folder)
    if READY not in os.environ:
        here.make(os.environ.get(OTHER, sys.executable))
        here.install(wheel)
    return here


def scores_a_star(here, *models):
    star = here.run('python', '-c', 'from stellar_gen.data import sample_paths; print(sample_paths()[1])')
    assert star.startswith(str(here.programs.parent))
    for model in models:
        here.run('stellar_gen', 'score', model, star, '--out', 'scores.csv')
        assert '2M19485057+5005279' in (here.away / 'scores.csv').read_text()
        (here.away / 'scores.csv').unlink()


def test_wheel_installs_and_scores(installed):
    "In an empty environment: it simulates, trains and scores"
    assert not installed.has('seaborn'), 'more is installed than the wheel asks for'
    installed.run('stellar_gen', 'simulate', '--n', 150, '--out', 'survey', '-q')
    installed.run('stellar_gen', 'train', 'survey', '--out', 'model', '--epochs', 1, '--device', 'cpu', '-q')
    scores_a_star(installed, 'apogee-16', 'model')


def test_wheel_installs_and_runs_a_lesson(root, wheel, installed):
    "In the same environment, which the extra `notebooks` completes: in Jupyter, from top to bottom, without developers' tools"
    installed.install(f'{wheel}[notebooks]')
    assert not any(map(installed.has, ('nbdev', 'execnb', 'hypothesis', 'pytest')))
    assert (installed.programs / 'jupyter-lab').is_file()
    lesson = root / 'nbs' / f'{LESSON}.ipynb'
    installed.run('jupyter', 'nbconvert', '--to', 'notebook', '--execute', '--output-dir', installed.away, lesson)
    text = (installed.away / lesson.name).read_text()
    code = [c for c in json.loads(text)['cells'] if c['cell_type'] == 'code' and ''.join(c['source']).strip()]
    assert all(c['execution_count'] for c in code)
    assert '"image/png"' in text, 'figures are not shown'
