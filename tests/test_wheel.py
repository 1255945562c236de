"The wheel: what is in it, what it says of itself, and that in an empty environment it scores a real star"
import email
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

pytestmark = pytest.mark.xdist_group('wheel')  # one worker builds it, once
ASSETS = 17
EXTRAS = {'notebooks', 'maps', 'explain', 'flows', 'big', 'interop', 'hub', 'onnx', 'track', 'access', 'explore', 'docs', 'dev'}
PYTHONS = (11, 12, 13)


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


def find_python(version):
    "A Python of this version that runs: on the path, or one that pyenv keeps; None if there is none"
    candidates = [shutil.which(f'python{version}')]
    if shutil.which('pyenv'):
        prefix = subprocess.run(['pyenv', 'prefix', version], capture_output=True, text=True).stdout.strip()
        candidates.append(prefix and f'{prefix}/bin/python')
    for p in filter(None, candidates):
        says = subprocess.run([p, '--version'], capture_output=True, text=True).stdout
        if says.startswith(f'Python {version}.'):
            return p


@pytest.fixture
def room(tmp_path):
    "A folder that is gone after the test: an environment takes gigabytes"
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize('version', ['', '3.12', '3.13'])
def test_wheel_installs_and_scores(root, room, wheel, version):
    "In an empty environment of this Python, and of others that are installed"
    base = find_python(version) if version else sys.executable
    if not base:
        pytest.skip(f'python{version} is not installed here')
    env = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'VIRTUAL_ENV'))}
    sh(base, '-m', 'venv', room / 'env', env=env)
    programs = room / 'env' / 'bin'
    constraints = root / 'constraints.txt'
    sh(programs / 'python', '-m', 'pip', 'install', '-q', '--no-compile', '-c', constraints, wheel, env=env)
    away = room / 'away'
    away.mkdir()

    def python(code):
        return sh(programs / 'python', '-c', code, cwd=away, env=env).strip()

    def command(*args):
        return sh(programs / 'stellar_gen', *args, cwd=away, env=env)

    star = python('from stellar_gen.data import sample_paths; print(sample_paths()[1])')
    assert star.startswith(str(room))
    models = ['apogee-16']
    if not version:
        command('simulate', '--n', 150, '--out', 'survey', '-q')
        command('train', 'survey', '--out', 'model', '--epochs', 1, '--device', 'cpu', '-q')
        models.append('model')
    for model in models:
        command('score', model, star, '--out', 'scores.csv')
        assert '2M19485057+5005279' in (away / 'scores.csv').read_text()
        (away / 'scores.csv').unlink()
