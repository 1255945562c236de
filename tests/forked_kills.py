"""Processes that are killed outright, just before each of their calls that move, remove or make something on disk

Every window must leave the old, the new, or what the next run completes; and the next run leaves nothing but the new.
"""
import gc
import hashlib
import http.server
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

pytestmark = [
    pytest.mark.skipif(not hasattr(os, 'fork'), reason='processes are killed in a copy of this one, which needs os.fork'),
]
CALLS = 'replace', 'rename', 'unlink', 'remove', 'rmdir', 'mkdir', 'fsync'  # of `os`, and `_exchange`
MOST = 10       # windows of a scenario that are tried, evenly spread; all of them where STELLAR_GEN_ALL_KILLS is set
PATIENCE = 240  # seconds for what never takes as long
COMMAND = str(Path(sys.executable).with_name('stellar_gen'))
LOADED_LATE = ('accelerate', 'bokeh.embed', 'bokeh.plotting', 'pydantic', 'sklearn.linear_model', 'sklearn.mixture',
               'sklearn.model_selection', 'sklearn.neighbors', 'torch._dynamo', 'zuko')  # within functions
TINY = dict(latent=2, channels=8, heads=8, hidden=16, coefs=8)


def load_all() -> None:
    "Load all that a command loads, once and not in each copy of this process"
    from docs import rooms
    for room in rooms():
        import_module(f'stellar_gen.{room}')
    for module in LOADED_LATE:
        import_module(module)
    gc.freeze()  # none of it is garbage, and looking for garbage there would copy it


@pytest.fixture(scope='module', autouse=True)
def loaded():
    load_all()


def in_a_copy(work: Callable) -> int:
    "Do `work` in a copy of this process; the signal that killed it, or 0"
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, 'the work failed by itself'
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def watch(before: Callable) -> None:
    "Do something before each of the calls, from now on in this process"
    from stellar_gen.data import files

    def watched(call):
        def as_it_was(*args, **kwargs):
            before()
            return call(*args, **kwargs)
        return as_it_was

    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))
    files._exchange = watched(files._exchange)


def calls_of(work: Callable, notes: Path) -> int:
    "Number of calls that `work` makes; a byte for each goes into the file `notes`"
    def counted():
        file = os.open(notes, os.O_WRONLY | os.O_APPEND)
        watch(lambda: os.write(file, b'.'))
        work()

    notes.write_bytes(b'')
    assert not in_a_copy(counted)
    return notes.stat().st_size


def killed_at(n: int, work: Callable) -> bool:
    "Do `work` in a copy of this process that is killed just before its n-th call; False if it ended before"
    count = itertools.count(1)

    def kill():
        if next(count) == n:
            os.kill(os.getpid(), signal.SIGKILL)

    def until_killed():
        watch(kill)
        work()
    return in_a_copy(until_killed) == signal.SIGKILL


class Scenario(NamedTuple):
    "Something that replaces what is there"
    prepare: Callable       # Makes the old in a folder
    work: Callable          # Replaces it by the new
    value: Callable         # What there is: 'old', 'new', or None for nothing yet
    left: set[str]          # Names in the folder at the end
    begins: str | None = 'old'


def check(scenario: Scenario, folder: Path, most: int = MOST) -> int:
    "Kill in windows of this number, spread evenly from the first to the last; the number of kills"
    def begun(name):
        place = folder / name
        place.mkdir(parents=True)
        scenario.prepare(place)
        return place

    unharmed = begun('unharmed')
    number = calls_of(lambda: scenario.work(unharmed), folder / 'calls')
    assert scenario.value(unharmed) == 'new'
    if os.environ.get('STELLAR_GEN_ALL_KILLS'):
        most = number
    kills = 0
    for n in np.unique(np.linspace(1, number, most).round().astype(int)):
        place = begun(f'{n}')
        if not killed_at(n, lambda place=place: scenario.work(place)):  # a thread may make one call more or less
            assert n > number // 2 and scenario.value(place) == 'new'
            continue
        kills += 1
        assert scenario.value(place) in {scenario.begins, 'new'}, f'after a kill at call {n}: {sorted(os.listdir(place))}'
        scenario.work(place)
        assert scenario.value(place) == 'new', f'after a kill at call {n} and a second run'
        assert set(os.listdir(place)) == scenario.left, f'left after a kill at call {n}'
        shutil.rmtree(place)
    return kills


# ----------------------------------------------------------------------------------------------------------- what is written
def toy(level):
    "Three spectra of 40 pixels"
    from stellar_gen.data import Grid, Spectra
    grid = Grid(10**(4.18 + 1e-5 * np.arange(40)), name='toy')
    return Spectra(grid, np.full((3, 40), level), np.ones((3, 40)), None, pd.DataFrame(dict(apogee_id=list('abc'))))


def stores():
    from stellar_gen.data import SpectraStore, is_store

    def value(place):
        if not is_store(place / 'st'):
            return None
        return {1: 'old', 2: 'new'}[int(SpectraStore(place / 'st')[0].flux[0, 0])]
    return Scenario(lambda place: toy(1).save(place / 'st'), lambda place: toy(2).save(place / 'st', overwrite=True), value, {'st'})


def tables(suffix):
    from stellar_gen.data import read_catalog, write_table

    def write(place, level):
        write_table(pd.DataFrame(dict(apogee_id=['a', 'b'], level=[level, level])), place / f't{suffix}')

    def value(place):
        return {1: 'old', 2: 'new'}[int(read_catalog(place / f't{suffix}').level[1])]
    return Scenario(lambda place: write(place, 1), lambda place: write(place, 2), value, {f't{suffix}'})


def models():
    import torch

    from stellar_gen.model import TrainedModel, load_model, save_model
    from stellar_gen.preprocess import Recipe
    from stellar_gen.vae import SpectraVAE
    torch.manual_seed(0)
    recipe = Recipe(grid=toy(1).grid)
    old, new = (TrainedModel(SpectraVAE(n_pix=40, patch=8, **TINY), recipe, dict(is_now=name)) for name in ('old', 'new'))
    return Scenario(
        lambda place: save_model(old, place / 'm'), lambda place: save_model(new, place / 'm', overwrite=True),
        lambda place: load_model(place / 'm').info['is_now'], {'m'})


def checkpoints():
    import torch

    from stellar_gen.train.callbacks import _read_state, _write_state

    def write(place, name):
        _write_state(place / 'm.checkpoint', dict(weights=torch.ones(5)), dict(is_now=name))
    return Scenario(lambda place: write(place, 'old'), lambda place: write(place, 'new'),
                    lambda place: _read_state(place / 'm.checkpoint')[1]['is_now'], {'m.checkpoint'})


WRITTEN = {
    'store': stores,
    'csv': lambda: tables('.csv'),
    'parquet': lambda: tables('.parquet'),
    'ecsv': lambda: tables('.ecsv'),
    'model': models,
    'checkpoint': checkpoints,
}


@pytest.mark.parametrize('exchange', (True, False), ids=('exchange', 'two renames'))
@pytest.mark.parametrize('what', WRITTEN)
def test_old_or_new(what, exchange, tmp_path, monkeypatch):
    "Where the system can exchange two names in one step, and where it cannot"
    from stellar_gen.data import files
    if not exchange:
        monkeypatch.setattr(files, '_exchange', lambda one, other: False)
    kills = check(WRITTEN[what](), tmp_path)
    assert kills >= 4
    print(f'{what}: {kills} kills')


# ------------------------------------------------------------------------------------------------------ what is gone on with
def tree(folder):
    "Every file below a folder, by its path"
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(Path(folder).rglob('*')) if f.is_file()}


def test_ingest_goes_on(tmp_path):
    "An ingest of five files by batches of two"
    from stellar_gen.data import ingest, is_store, sample_spectra, write_apstar
    star = sample_spectra()[1]
    for i in range(5):
        brighter = star.replace(flux=star.flux * (1 + i), meta=star.meta.assign(apogee_id=f'2M{i:08d}+0000000'))
        write_apstar(brighter, tmp_path / 'files' / f'apStar-{i}.fits')

    def run(place):
        ingest(tmp_path / 'files', place / 'st', batch=2, workers=1, quiet=True)

    run(tmp_path)
    whole = tree(tmp_path / 'st')
    scenario = Scenario(
        lambda place: None, run, lambda place: 'new' if is_store(place / 'st') and tree(place / 'st') == whole else None,
        {'st'}, begins=None)
    kills = check(scenario, tmp_path / 'kills')
    assert kills >= 8
    print(f'ingest: {kills} kills')


def test_download_goes_on(tmp_path):
    "Three files from a server on this machine"
    from stellar_gen.archive import conf, fetch
    from stellar_gen.data import sample_spectra, write_apstar
    star = sample_spectra()[1]
    files = {}
    for i in range(3):
        named = star.replace(meta=star.meta.assign(apogee_id=f'2M{i:08d}+0000000'))
        path = write_apstar(named, tmp_path / f'apStar-dr17-2M{i:08d}+0000000.fits')
        files[path.name] = path.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = files[self.path.removeprefix('/').replace('%2B', '+')]
            self.send_response(200)
            self.send_header('Content-Length', str(len(data)))
            self.send_header('ETag', f'"{hashlib.sha1(data).hexdigest()}"')
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *args):  # a client that was killed
            pass

    def value(place):
        there = {f.name: f.read_bytes() for f in place.glob('sas/apStar*')}
        assert there.items() <= files.items()  # a name never stands for another file, nor for half of one
        return 'new' if there == files else None

    with Server(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with conf.set_temp('sas_url', f'http://127.0.0.1:{server.server_address[1]}'):
            scenario = Scenario(
                lambda place: None, lambda place: fetch(files, place / 'sas', workers=1, pause=.01, quiet=True),
                value, {'sas'}, begins=None)
            kills = check(scenario, tmp_path / 'kills')
        server.shutdown()
    assert kills >= 6
    hidden = {f.name for f in (tmp_path / 'kills/unharmed/sas').iterdir()} - set(files)
    assert hidden == {'.verified'}
    print(f'download: {kills} kills')


def test_training_goes_on(tmp_path):
    "A training of two epochs: whatever moment it is killed at, the next run ends at the model of one left in peace"
    import torch

    from stellar_gen.model import load_model
    from stellar_gen.simulate import simulate
    from stellar_gen.train import train_store
    options = dict(epochs=2, bs=32, device='cpu', **TINY)

    def prepare(place):
        simulate(96, seed=0).save(place / 'st')

    def run(place):
        train_store(place / 'st', place / 'm', log=place / 'log.csv', overwrite=True, **options)

    prepare(tmp_path)
    run(tmp_path)
    whole = load_model(tmp_path / 'm')

    def value(place):
        if not (place / 'm').exists():
            return None
        model = load_model(place / 'm')
        same = all(torch.equal(a, b) for a, b in zip(model.net.state_dict().values(), whole.net.state_dict().values()))
        same &= (place / 'log.csv').read_text() == (tmp_path / 'log.csv').read_text()
        return 'new' if same and model.info['losses'] == whole.info['losses'] else 'wrong'

    scenario = Scenario(prepare, run, value, {'st', 'st.prepared', 'm', 'log.csv'}, begins=None)
    kills = check(scenario, tmp_path / 'kills', most=5)
    assert kills >= 5
    print(f'training: {kills} kills')


def test_training_goes_on_three_times(tmp_path):
    "A training that is killed again and again has the losses of one that was left in peace, an epoch a line"
    from stellar_gen.data import SpectraStore
    from stellar_gen.simulate import simulate
    from stellar_gen.train import train_store
    from stellar_gen.train.learner import prepared_store
    simulate(96, seed=0).save(tmp_path / 'st')
    prepared_store(SpectraStore(tmp_path / 'st'), quiet=True)  # so that each kill is one of an epoch

    def run(name):
        log = tmp_path / f'{name}.csv'
        train_store(tmp_path / 'st', tmp_path / name, log=log, overwrite=True, epochs=6, bs=32, device='cpu', **TINY)

    in_all = calls_of(lambda: run('whole'), tmp_path / 'calls')
    note = tmp_path / 'killed.checkpoint'
    epochs = []
    for _ in range(3):
        assert killed_at(in_all // 4, lambda: run('killed')) and note.exists()
        epochs.append(len(pd.read_csv(tmp_path / 'killed.csv')))
    run('killed')
    assert 0 < epochs[0] < epochs[1] < epochs[2] <= 6, epochs
    assert not note.exists()
    assert (tmp_path / 'killed.csv').read_text() == (tmp_path / 'whole.csv').read_text()


def test_results_in_parts_go_on(tmp_path):
    "Results of three stores that wait for each other until their table is written"
    from stellar_gen.data import write_table
    from stellar_gen.parts import Kept, in_parts, pieces
    stores = [tmp_path / f'{k}' for k in range(3)]
    for k, store in enumerate(stores):
        toy(k).save(store)

    def run(place):
        kept = Kept(place / 't.csv', dict(command='medians'))
        table, _ = in_parts(pieces(stores), lambda spectra: pd.DataFrame(dict(chi2=np.median(spectra.flux, 1))), kept, quiet=True)
        write_table(table, place / 't.csv')
        kept.remove()

    def value(place):
        if not (place / 't.csv').exists():
            return None
        return 'new' if pd.read_csv(place / 't.csv').chi2.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] else 'wrong'
    kills = check(Scenario(lambda place: None, run, value, {'t.csv'}, begins=None), tmp_path / 'kills')
    assert kills >= 8
    print(f'parts: {kills} kills')


def test_report_is_old_or_new(tmp_path):
    "The page of a report"
    from stellar_gen.data import sample_spectra
    from stellar_gen.model import load_model
    from stellar_gen.report import write_report
    model, stars = load_model('apogee-16'), sample_spectra()[:1]
    model.info['losses'] = []  # without a figure

    def run(place):
        write_report(place / 'report.html', model, stars, top=0, intro='the new one')

    def value(place):
        page = (place / 'report.html').read_text(encoding='utf-8')
        return 'new' if 'the new one' in page and page.rstrip().endswith('</html>') else page
    scenario = Scenario(lambda place: (place / 'report.html').write_text('old'), run, value, {'report.html'})
    kills = check(scenario, tmp_path, most=3)
    assert kills >= 3
    print(f'report: {kills} kills')


# ----------------------------------------------------------------------------------------------------------------- processes
def ended(group: int, patience: float = PATIENCE) -> bool:
    "Whether all processes of a group end soon"
    until = time.time() + patience
    while time.time() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(.1)
    os.killpg(group, signal.SIGKILL)
    return False


@pytest.mark.parametrize('number', (signal.SIGTERM, signal.SIGINT), ids=('SIGTERM', 'Ctrl-C'))
def test_workers_end_with_their_command(number, tmp_path):
    "A signal to a command whose workers are busy: one line, an exit status, no worker is left, and no half store under its name"
    out = tmp_path / 'st'
    options = ['simulate', '--n', '100000', '--out', str(out), '-q']
    command = subprocess.Popen([COMMAND, *options], stderr=subprocess.PIPE, text=True, start_new_session=True)
    part = tmp_path / '.st.partial/st/meta.parquet/part-000000.parquet'
    until = time.time() + PATIENCE
    while not part.exists() and time.time() < until and command.poll() is None:
        time.sleep(.05)
    assert part.exists(), 'nothing was written'
    os.killpg(command.pid, number) if number == signal.SIGINT else command.send_signal(number)  # as a terminal does, as kill does
    error = command.communicate(timeout=PATIENCE)[1]
    assert ended(command.pid)
    assert command.returncode == 128 + number
    said = [line for line in error.splitlines() if line.startswith('stellar_gen: ')]
    assert said == [f'stellar_gen: {"interrupted" if number == signal.SIGINT else "terminated"}']
    if number == signal.SIGTERM:  # Ctrl-C goes to the workers too, who have their own say
        assert len(error.splitlines()) == 1
    assert set(os.listdir(tmp_path)) <= {'.st.partial'}  # a thread of Zarr may have written on; the next run sweeps it


def refused_run(code, path):
    "What a second process says that is refused"
    other = subprocess.run([sys.executable, '-c', code, str(path)], capture_output=True, text=True)
    assert other.returncode == 1
    return other.stderr.splitlines()[-1]


def test_two_writers(tmp_path):
    "A second process that writes to the same table is refused in one line, and the first one ends well"
    from stellar_gen.data import whole
    code = 'import sys, pandas as pd; from stellar_gen.data import write_table; write_table(pd.DataFrame(dict(a=[1])), sys.argv[1])'
    with whole(tmp_path / 't.csv') as made:
        made.write_text('a\n2\n')
        assert 't.csv: another process is writing it' in refused_run(code, tmp_path / 't.csv')
    assert (tmp_path / 't.csv').read_text() == 'a\n2\n' and os.listdir(tmp_path) == ['t.csv']


def test_two_writers_of_a_store(tmp_path):
    "A second process that ingests into the same store, likewise"
    from stellar_gen.data import SpectraStore, ingest, sample_paths
    store = ingest(sample_paths()[:2], tmp_path / 'st', quiet=True)
    code = 'import sys; from stellar_gen.data import ingest, sample_paths; ingest(sample_paths(), sys.argv[1], quiet=True)'
    before = tree(tmp_path / 'st')
    with store._writing():
        assert 'st: another process is writing to this store' in refused_run(code, tmp_path / 'st')
    assert tree(tmp_path / 'st') == before and len(SpectraStore(tmp_path / 'st')) == 2
