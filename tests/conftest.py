import os, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.resolve()
SHARED = ROOT.parent/'shared'/'data'
os.environ.setdefault('MPLBACKEND', 'agg')
sys.path.insert(0, str(ROOT/'tools'))

def pytest_configure(config):
    if hasattr(config, 'workerinput'): # workers share the cores instead of fighting for them
        import torch
        torch.set_num_threads(max(1, (os.cpu_count() or 1)//config.workerinput['workercount']))

def pytest_collection_modifyitems(items):
    "The tests of the wheel and of the site take longest and leave a core idle at times: begin with them"
    items.sort(key=lambda i: 'installs_and_scores' not in i.nodeid and 'test_site' not in i.nodeid)

@pytest.fixture
def root(): return ROOT

@pytest.fixture
def shared():
    "Real data that lie beside a developer's checkout"
    if not SHARED.is_dir(): pytest.skip('../shared/data is not here: it holds reference data that developers have')
    return SHARED
