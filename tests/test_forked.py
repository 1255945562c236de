"""What copies its own process runs in one that has done nothing else: a copy of one with many threads may wait for ever"""
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize('name', ['forked_kills', 'forked_path', 'forked_signals'])
def test_in_a_process_of_its_own(name):
    here = Path(__file__).parent
    calm = {key: value for key, value in os.environ.items() if not key.startswith('PYTEST_')}
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', here / f'{name}.py'], env=calm, cwd=here.parent,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
