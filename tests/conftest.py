"What all tests share: one thread each, the repository's root, real data that developers have"
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.resolve()
SHARED = ROOT.parent / 'shared' / 'data'
sys.path.insert(0, str(ROOT / 'tools'))
from robust import THREAD_VARIABLES  # noqa: E402

# Before NumPy and torch are loaded, so that it holds for this process, for pytest's workers and for what they start.
os.environ.update(dict.fromkeys(THREAD_VARIABLES, '1'))
os.environ.setdefault('MPLBACKEND', 'agg')
# What is imported is compiled once, and not by each of the hundreds of processes that tests start.
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
sys.dont_write_bytecode = False
LONGEST = ('test_wheel', 'test_site', 'test_explore', 'test_report', 'test_forked', 'test_train', 'test_ingest',
           'test_fuzz', 'test_survey', 'test_tampered')

LONG_LESSONS = ('09_cli', '07_generate', 'howto_cluster', '06_classify')

ALONE = ('test_notebooks', 'test_forked')  # files whose tests share nothing


def pytest_collection_modifyitems(items):
    "What takes longest begins and short lessons end, so that no worker waits for the other"
    def place(item):
        name = item.path.stem
        if name == 'test_notebooks':
            lesson = item.callspec.id if hasattr(item, 'callspec') else ''
            return len(LONGEST) + (1 if lesson in LONG_LESSONS else 2)
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)
    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    "A file's tests run in one worker, so that what they share is made once; what shares nothing is dealt out one by one"
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split('::')[0]
            return nodeid if Path(file).stem in ALONE else file

    return ByFile(config, log) if config.getvalue('dist') != 'no' else None


@pytest.fixture
def root():
    return ROOT


@pytest.fixture
def shared():
    "Real data that lie beside a developer's checkout"
    if not SHARED.is_dir():
        pytest.skip('../shared/data is not here: it holds reference data that developers have')
    return SHARED


@pytest.fixture(scope='module')
def browser():
    "Chromium, for pages as people see them"
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not chromium:
        pytest.skip('no chromium on this machine: apt-get install chromium')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        yield b
        b.close()
