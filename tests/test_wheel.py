"The wheel: what is in it, what it says of itself, and that in an empty environment it scores a real star"
import email
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

ASSETS = 17
EXTRAS = {'notebooks', 'maps', 'explain', 'flows', 'big', 'interop', 'hub', 'onnx', 'track', 'access', 'explore', 'docs', 'dev'}
PYTHONS = (11, 12, 13)
OTHER = 'STELLAR_GEN_PYTHON'  # in this variable, where it is set: another Python to install the wheel for
LESSONS = ('tour', '08c_packed')  # quick ones


def sh(*args, **kwargs):
    "What a command that succeeds prints"
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert r.returncode == 0, f'{args}\n{r.stdout[-2000:]}{r.stderr[-2000:]}'
    return r.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    from conftest import ROOT
    out = tmp_path_factory.mktemp('dist')
    sh(sys.executable, '-m', 'build', '--wheel', '--outdir', out, ROOT)
    made, = out.glob('*.whl')
    return made


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


class Environment:
    "An environment of a Python that has what is installed into it and nothing else, and a folder to work in"
    def __init__(self, base, folder):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'VIRTUAL_ENV', 'MPL'))}
        self.programs = folder / 'env' / 'bin'
        self.away = folder / 'away'
        self.away.mkdir()
        sh(base, '-m', 'venv', folder / 'env', env=self.env)
        self.run('python', '-m', 'pip', 'install', '-q', '-U', 'pip')  # which takes two thirds of the time of an older one

    def run(self, program, *args, cwd=None):
        return sh(self.programs / program, *args, cwd=cwd or self.away, env=self.env).strip()

    def install(self, requirement):
        from conftest import ROOT
        options = ['-q', '--no-compile', '--disable-pip-version-check', '-c', ROOT / 'constraints.txt']
        self.run('python', '-m', 'pip', 'install', *options, requirement)

    def has(self, module):
        return self.run('python', '-c', f'import importlib.util as u; print(u.find_spec("{module}") is not None)') == 'True'


@pytest.fixture(scope='module')
def installed(tmp_path_factory, wheel):
    "The wheel in an environment of its own, which is gone after the tests: it takes gigabytes"
    folder = tmp_path_factory.mktemp('installed')
    here = Environment(os.environ.get(OTHER, sys.executable), folder)
    here.install(wheel)
    yield here
    shutil.rmtree(folder)


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


def test_wheel_installs_and_runs_lessons(root, wheel, installed):
    "In the same environment, which the extra `notebooks` completes: in Jupyter, from top to bottom, without developers' tools"
    installed.install(f'{wheel}[notebooks]')
    assert not any(map(installed.has, ('nbdev', 'execnb', 'hypothesis', 'pytest')))
    assert (installed.programs / 'jupyter-lab').is_file()
    lessons = [root / 'nbs' / f'{name}.ipynb' for name in LESSONS]
    installed.run('jupyter', 'nbconvert', '--to', 'notebook', '--execute', '--output-dir', installed.away, *lessons)
    for p in lessons:
        cells = json.loads((installed.away / p.name).read_text())['cells']
        code = [c for c in cells if c['cell_type'] == 'code' and ''.join(c['source']).strip()]
        assert all(c['execution_count'] for c in code), p.name
    assert '"image/png"' in (installed.away / f'{LESSONS[0]}.ipynb').read_text(), 'figures are not shown'
