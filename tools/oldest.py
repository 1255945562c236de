"""Run a part of the tests with the lowest versions that settings.ini allows

    tools/oldest.py [FOLDER] [arguments of pytest]

The environment is made in FOLDER (a temporary one if none is given), and deleted at the end. What settings.ini does not
name is as in constraints.txt. torch is as there too: of older ones no build for the CPU alone can be had everywhere.
Without further arguments the lessons and tests of `PARTS` run, which use every library that the package requires;
lessons that need extras beside `interop` and `flows` are left out.
"""
import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.resolve()
AS_PINNED = {'torch'}
TOOLS = ['nbdev', 'execnb', 'pytest', 'pytest-xdist', 'hypothesis', 'seaborn']  # that the tests and lessons need, as in constraints.txt
PARTS = ['tests/test_fuzz.py', 'tests/test_tampered.py', 'tests/test_notebooks.py', '-k',
         'fuzz or tampered or (00 and not 00ba) or 01_ or 01a or 01b or 02 or 03 or 04b_ or 05_ or 05a or 06_ '
         'or 07_ or (08 and not 08a and not 08h) or 09']


def lowest(
    requirements: str,  # As in settings.ini
) -> dict[str, str]:    # Requirement with the lowest version, by name
    "The lowest versions that are allowed"
    pinned = {}
    for requirement in requirements.split():
        name, version = re.fullmatch(r'([^>=<]+)>=([0-9.]+).*', requirement).groups()
        pinned[name.split('[')[0].lower()] = f'{name}=={version}'
    return pinned


def as_constrained(
    text: str,       # Of constraints.txt
    pinned: dict[str, str],  # What has another version here
) -> str:
    "The constraints on everything else"
    lines = [line for line in text.splitlines() if '==' in line and not line.startswith('#')]
    return '\n'.join(line for line in lines if line.split('==')[0].strip().lower() not in pinned)


def main(folder: Path, arguments: list[str]) -> int:
    "Make the environment and run the tests; pytest's exit status"
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'settings.ini')
    options = settings['DEFAULT']
    pinned = lowest(' '.join(options[f'{kind}requirements'] for kind in ('', 'interop_', 'flows_')))
    for name in AS_PINNED:
        pinned.pop(name)
    folder.mkdir(parents=True, exist_ok=True)
    others = folder / 'constraints.txt'
    others.write_text(as_constrained((ROOT / 'constraints.txt').read_text(), pinned))
    subprocess.run([sys.executable, '-m', 'venv', folder / 'env'], check=True)
    python = folder / 'env/bin/python'
    install = [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check']
    subprocess.run([*install, '-c', others, *pinned.values(), *AS_PINNED, *TOOLS], check=True)
    print(' '.join(sorted(pinned.values())), flush=True)
    environment = os.environ | dict(PYTHONPATH=str(ROOT), MPLBACKEND='agg')
    return subprocess.run([python, '-m', 'pytest', '-q', *(arguments or PARTS)], cwd=ROOT, env=environment).returncode


if __name__ == '__main__':
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix='oldest-'))
    if given.exists() and any(given.iterdir()):
        sys.exit(f'{given}: is not empty; name a new folder')
    try:
        status = main(given, sys.argv[2:])
    finally:
        shutil.rmtree(given, ignore_errors=True)
    sys.exit(status)
