"""Build the wheel, and install it in an environment that has nothing else

    tools/wheel_environment.py FOLDER [PYTHON]

The wheel comes into FOLDER/dist, the environment into FOLDER/env. It is of PYTHON, by default of the one that runs this.
Nothing is needed beyond the standard library, so it can be made while the tests' own environment is made.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.resolve()
MADE = ('.*', '__pycache__', '*.egg-info', 'build', 'dist', 'demo', '_docs', '_proc')  # none of it is needed
QUIET = ['-q', '--disable-pip-version-check']


def sh(*args, **kwargs) -> str:
    "What a command that succeeds prints"
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert r.returncode == 0, f'{args}\n{r.stdout[-2000:]}{r.stderr[-2000:]}'
    return r.stdout


class Environment:
    "An environment that has what is installed into it and nothing else, and a folder to work in"
    def __init__(
        self,
        folder: Path,  # It is in `env` there, or will be
    ):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'VIRTUAL_ENV', 'MPL'))}
        self.programs = folder / 'env' / 'bin'
        self.away = folder / 'away'
        self.away.mkdir(exist_ok=True)

    def run(self, program: str, *args, cwd: Path | None = None) -> str:
        "What one of its programs prints"
        return sh(self.programs / program, *args, cwd=cwd or self.away, env=self.env).strip()

    def make(
        self,
        python: str,  # The Python that it is of
    ) -> None:
        "Make it, with a new pip, which takes two thirds of the time of an older one"
        sh(python, '-m', 'venv', self.programs.parent, env=self.env)
        self.run('python', '-m', 'pip', 'install', *QUIET, '-U', 'pip')

    def install(
        self,
        requirement: str | Path,  # As pip takes it
    ) -> None:
        "Install something and what it requires"
        self.run('python', '-m', 'pip', 'install', *QUIET, '--no-compile', '-c', ROOT / 'constraints.txt', requirement)

    def has(self, module: str) -> bool:
        "Whether it has a module"
        return self.run('python', '-c', f'import importlib.util as u; print(u.find_spec("{module}") is not None)') == 'True'


def build(
    folder: Path,  # Into its `dist`
) -> Path:         # The wheel
    "Build the wheel of a copy of this tree, in which nothing is left of earlier ones, and nobody else builds"
    with tempfile.TemporaryDirectory() as name:
        copy = shutil.copytree(ROOT, Path(name) / 'copy', ignore=shutil.ignore_patterns(*MADE))
        sh(sys.executable, '-m', 'pip', 'wheel', *QUIET, '--no-deps', '-w', folder / 'dist', copy)
    return built(folder)


def built(
    folder: Path,  # In which one was built
) -> Path:
    "The wheel there"
    wheel, = (folder / 'dist').glob('*.whl')
    return wheel


def main(folder: Path, python: str) -> None:
    "Build the wheel and install it; what most commands import is compiled"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = build(folder)
    environment = Environment(folder)
    environment.make(python)
    environment.install(wheel)
    environment.run('python', '-c', 'import stellar_gen.anomaly.survey, stellar_gen.cli, stellar_gen.report, torch._dynamo')


if __name__ == '__main__':
    given = Path(sys.argv[1]).resolve()
    if given.exists() and any(given.iterdir()):
        sys.exit(f'{given}: is not empty; name a new folder')
    main(given, sys.argv[2] if len(sys.argv) > 2 else sys.executable)
