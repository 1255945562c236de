"""Every long command is sent a signal in the middle of its work, and the disk is full or may not be written to

One line, an exit status, nothing half-written; and the same command, given again, ends well.
"""
import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from forked_kills import in_a_copy, load_all, watch

pytestmark = [
    pytest.mark.skipif(not hasattr(os, 'fork'), reason='signals are sent to a copy of this process, which needs os.fork'),
]
SIGNALS = {signal.SIGTERM: 'terminated', signal.SIGINT: 'interrupted'}
MOMENTS = .1, .5, .9  # of the calls that a command makes
NOBODY = 65534        # a user who owns nothing


class Command(NamedTuple):
    "A command, and what it makes"
    words: Callable    # Arguments, from the folder of the inputs and the path of the output
    out: str           # Name of the output
    may_stay: str = ''  # What may wait for the next run, which goes on with it


COMMANDS = dict(
    simulate=Command(lambda given, out: ['--n', 20, '--out', out], 'new'),
    ingest=Command(lambda given, out: [given / 'files', '--out', out], 'new', 'new'),  # a store that has no rows yet is one
    crossmatch=Command(lambda given, out: [given / 'a.csv', given / 'a.csv', '--out', out], 'pairs.csv'),
    fetch=Command(lambda given, out: ['--ids', given / 'ids.csv', '--out', out], 'sas', 'sas'),
    train=Command(lambda given, out: [given / 'store', '--epochs', 1, '--latent', 2, '--device', 'cpu', '--out', out],
                  'model', 'model.checkpoint'),
    calibrate=Command(lambda given, out: ['apogee-16', given / 'store', '--out', out], 'model'),
    score=Command(lambda given, out: [given / 'small', '--out', out], 's.csv', 's.csv.parts'),
    encode=Command(lambda given, out: [given / 'small', '--out', out], 'z.parquet', 'z.parquet.parts'),
    classify=Command(lambda given, out: [given / 'small', '--out', out], 'c.ecsv', 'c.ecsv.parts'),
    generate=Command(lambda given, out: ['--n', 3, '--out', out], 'made'),
    report=Command(lambda given, out: [given / 'small', '--top', 0, '--out', out], 'page', 'page'),
)


@pytest.fixture(scope='module')
def given():
    "Inputs, where every user of the system may read them"
    import tempfile

    import pandas as pd

    from stellar_gen.data import SpectraStore, sample_paths, sample_spectra
    from stellar_gen.simulate import simulate
    from stellar_gen.train.learner import prepared_store
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'files').mkdir()
        for path in sample_paths():
            shutil.copy(path, folder / 'files')
        pd.DataFrame(dict(apogee_id=list('abc'), ra=[1., 2, 3], dec=[4., 5, 6])).to_csv(folder / 'a.csv', index=False)
        simulate(100, seed=0).save(folder / 'store')
        prepared_store(SpectraStore(folder / 'store'), quiet=True)
        sample_spectra().save(folder / 'small')
        load_all()
        folder.chmod(0o755)
        with archive(folder / 'ids.csv'):
            yield folder


@contextlib.contextmanager
def archive(ids):
    "A server of three stars, whose names are in a file"
    import pandas as pd

    from stellar_gen.archive import conf, sas_paths
    from stellar_gen.data import sample_spectra, write_apstar
    star = sample_spectra()[1]
    names = [f'2M{i:08d}+0000000' for i in range(3)]
    table = pd.DataFrame(dict(apogee_id=names, telescope='apo25m', field='000+02'))
    table.to_csv(ids, index=False)
    tree = {}
    for name, path in zip(names, sas_paths(table)):
        file = write_apstar(star.replace(meta=star.meta.assign(apogee_id=name)), ids.with_name('one.fits'))
        tree[f'/{path}'.replace('+', '%2B')] = tree[f'/{path}'] = file.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', str(len(tree[self.path])))
            self.end_headers()
            self.wfile.write(tree[self.path])

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *args):  # a client that has gone
            pass

    with Server(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with conf.set_temp('sas_url', f'http://127.0.0.1:{server.server_address[1]}'):
            yield
        server.shutdown()


@pytest.fixture
def place():
    "A folder that every user of the system may look into"
    import tempfile
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def status_of(words, before=lambda: None):
    "How a command ends that this process goes on as, after something else is done"
    from stellar_gen.cli import main
    sys.argv = ['stellar_gen', *map(str, words)]
    try:
        before()
        main()
        return 0
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return -1


def run(name, given, out, before=lambda: None, words=None):
    "Exit status of a command in a copy of this process, and the lines that it says; `before` is done in the copy first"
    heard, says = os.pipe()

    def work():
        said = open(says, 'w')
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        sys.stdout = sys.stderr = said
        status = status_of([name, *(words or COMMANDS[name].words(given, out)), '--quiet'], before)
        sys.stdout.flush()
        said.write(f'{status}\n')
        said.flush()

    ended = in_a_copy(work)
    os.close(says)
    with open(heard) as pipe:
        *lines, status = pipe.read().splitlines()
    assert not ended, lines
    return int(status), lines


def watch_all(act: Callable) -> None:
    "Do something before each call that moves, removes or makes something on disk, and before each layer of a network"
    import torch
    watch(act)
    forward = torch.nn.Linear.forward

    def watched(self, *args):
        act()
        return forward(self, *args)
    torch.nn.Linear.forward = watched


def calls_in(name, given, place):
    "Number of these calls in a whole run of a command"
    notes = place / 'calls'

    def counted():
        file = os.open(notes, os.O_WRONLY | os.O_CREAT)
        watch_all(lambda: os.write(file, b'.'))

    (place / 'whole').mkdir()
    assert run(name, given, place / 'whole' / COMMANDS[name].out, counted) == (0, [])
    return notes.stat().st_size


def left_in(folder, command):
    "What a command that came to nothing has left, but for what the next run goes on with"
    swept = f'.{command.out}.partial'  # by the next run; a thread may have written on
    return [name for name in os.listdir(folder) if name not in (swept, command.may_stay)]


@pytest.mark.parametrize('name', COMMANDS)
def test_signals(name, given, place):
    "SIGTERM and Ctrl-C in the middle of a command; the next run ends well"
    command = COMMANDS[name]
    calls = calls_in(name, given, place)
    for (number, word), moment in zip(SIGNALS.items(), MOMENTS):
        folder = place / word
        folder.mkdir()
        at = iter(range(1, calls + 1))

        def interrupt(at=at, moment=moment, number=number):
            if next(at, None) == 1 + int(moment * calls):
                os.kill(os.getpid(), number)

        assert run(name, given, folder / command.out, lambda: watch_all(interrupt)) == (128 + number, [f'stellar_gen: {word}'])
        assert left_in(folder, command) == []
    assert run(name, given, folder / command.out) == (0, [])
    assert os.listdir(folder) == [command.out]


def is_refused(name, given, folder, before, *whys):
    "Whether a command ends in one line that names what it cannot write, and leaves nothing"
    command = COMMANDS[name]
    status, lines = run(name, given, folder / command.out, before)
    assert status == 1 and len(lines) == 1, (status, lines[-3:])
    assert command.out in lines[0] and any(why in lines[0] for why in whys), lines
    assert left_in(folder, command) == []
    return True


def as_nobody():
    "Go on as a user who owns nothing"
    # Where the user may not read the modules of Python, all must be there before
    import encodings.utf_8_sig  # noqa: F401

    import stellar_gen.report  # noqa: F401
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@pytest.mark.parametrize('name', ('ingest', 'score', 'classify', 'encode'))
def test_unreadable_file(name, given, place):
    "A file of another user costs its own line, and no other star its row"
    files = sorted((given / 'files').iterdir())
    shut = shutil.copy(files[0], place / 'shut.fits')
    shut.chmod(0)
    place.chmod(0o777)
    out = place / COMMANDS[name].out
    status, lines = run(name, given, out, as_nobody, [shut, files[1], '--out', out])
    assert status == 1 and 'shut.fits' in lines[0] and 'Permission denied' in lines[0], (status, lines)
    assert out.exists()


@pytest.mark.parametrize('name', COMMANDS)
def test_no_permission(name, given, place):
    "An ordinary user, in a folder of another one"
    folder = place / 'shut'
    folder.mkdir()
    folder.chmod(0o555)
    assert is_refused(name, given, folder, as_nobody, 'Permission denied')
    folder.chmod(0o755)


@pytest.mark.parametrize('name', [name for name in COMMANDS if name != 'fetch'])  # which has a line for each file
def test_file_too_large(name, given, place):
    "A system that takes no more of a file than four bytes"
    import resource

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))

    assert is_refused(name, given, place, limited, 'File too large')


@pytest.fixture
def small_disk(place):
    "A disk of 16 kB, where one may be had"
    folder = place / 'disk'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip('nothing can be mounted here')
    yield folder
    subprocess.run(['umount', str(folder)], check=True)


@pytest.mark.parametrize('name', ('crossmatch', 'generate', 'calibrate'))
def test_full_disk(name, given, small_disk):
    "A disk on which there is no room"
    with open(small_disk / 'all', 'wb', buffering=0) as file, pytest.raises(OSError):
        while file.write(b'.'):
            pass
    folder = small_disk / 'here'
    folder.mkdir()
    assert is_refused(name, given, folder, lambda: None, 'No space left')
