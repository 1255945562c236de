"""The whole way of an astronomer, from names to odd stars, against a server on this machine; killed at every step

A command is a copy of this process, in which all that commands load is there already.
"""
import gzip
import io
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlparse
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from forked_signals import load_all, status_of

pytestmark = [
    pytest.mark.skipif(not hasattr(os, 'fork'), reason='a command is a copy of this process, which needs os.fork'),
]
COMMAND = str(Path(sys.executable).with_name('stellar_gen'))
STARS = 36
MODEL = 'apogee-16'
UNKNOWN = '2M23595999-8959599'  # no star of the survey
LOST = 7                        # row whose file the archive does not have
OF_THE_README = {8: '2M17335483-2753043', 9: '2M19485057+5005279'}  # rows of the stars that README.md fetches
PATIENCE = 600                  # s for one command, on a machine with other work
SOON = .2                       # s after which a command that takes longer is killed

# What a user types, in this order, and what each command makes. A step that calibrates the model would stand before `score`.
STEPS = {
    'fetch': ('sas', ['fetch', '--ids', 'stars.txt', '--out', 'sas']),
    'ingest': ('store', ['ingest', 'sas', '--out', 'store']),
    'score': ('scores.csv', ['score', MODEL, 'store', '--out', 'scores.csv']),
    'report': ('gallery', ['report', MODEL, 'store', '--out', 'gallery', '--top', '1']),
}


# ------------------------------------------------------------------------------------------------- the survey and its server
def survey():
    "Real-like stars under names of APOGEE's, as SkyServer lists them and as files of the archive: a table, and bytes by path"
    from stellar_gen.archive import sas_paths
    from stellar_gen.simulate import simulate
    stars = simulate(STARS, seed=5)
    table = pd.DataFrame(dict(
        apogee_id=[f'2M{i:08d}+{i:07d}' for i in range(STARS)], telescope='apo25m', field='M67', location_id=4162,
        ra=np.linspace(132, 133.5, STARS), dec=np.linspace(11, 12.5, STARS), snr=100., file='',
    ))
    table.loc[:5, ['telescope', 'field']] = 'lco25m', 'M67-C'
    for row, name in OF_THE_README.items():
        table.loc[row, 'apogee_id'] = name
    table.loc[STARS - 1, ['apogee_id', 'telescope', 'field', 'location_id']] = '2M14153968+1910558', 'apo1m', 'standards', 1
    table.loc[STARS - 1, 'file'] = 'apStar-dr17-2M14153968+1910558.fits'
    files = {path: bytes_of(stars[i:i + 1], table.iloc[i]) for i, path in enumerate(sas_paths(table))}
    return table, files


def bytes_of(star, row):
    "An apStar file"
    import tempfile

    from stellar_gen.data import write_apstar
    known = star.meta.assign(apogee_id=row.apogee_id, ra=row.ra, dec=row.dec, telescope=row.telescope, field=row.field)
    with tempfile.TemporaryDirectory() as folder:
        written = write_apstar(star.replace(meta=known), Path(folder) / 'star.fits')
        content = Path(written).read_bytes()
    return gzip.decompress(content) if content[:2] == b'\x1f\x8b' else content


class Answers(BaseHTTPRequestHandler):
    "Answers like the Science Archive Server, like SkyServer and like Simbad"
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        path = unquote(urlparse(self.path).path)
        with self.server.lock:
            self.server.asked[path] += 1
        if path.startswith('/sas/'):
            return self.file(self.server.files.get(path.removeprefix('/sas/')))
        if '/search/' in path:
            return self.sql(parse_qs(urlparse(self.path).query)['cmd'][0])
        self.answer(404, b'')

    do_HEAD = do_GET

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers['Content-Length'])).decode())
        names = ['NAME Arcturus', '* alf Boo', '2MASS J14153968+1910558'] if "'Arcturus'" in form['QUERY'][0] else []
        n = len(names)
        known = Table(dict(main_id=['* alf Boo'] * n, ra=[213.9153] * n, dec=[19.1824] * n, id=names),
                      dtype=['U40', float, float, 'U40'])
        out = io.BytesIO()
        known.write(out, format='votable')
        self.answer(200, out.getvalue(), {'Content-Type': 'application/x-votable+xml'})

    def file(self, content):
        "A file of the archive, or the rest of it"
        if content is None:
            return self.answer(404, b'')
        time.sleep(self.server.slowly)
        mark = {'ETag': f'"{crc32(content):08x}"', 'Accept-Ranges': 'bytes'}
        wanted = self.headers.get('Range', '').removeprefix('bytes=')
        if wanted and self.headers.get('If-Range', mark['ETag']) == mark['ETag']:
            first = int(wanted.split('-')[0])
            mark['Content-Range'] = f'bytes {first}-{len(content) - 1}/{len(content)}'
            return self.answer(206, content[first:], mark)
        self.answer(200, content, mark)

    def sql(self, query):
        "What the survey's table answers"
        with sqlite3.connect(':memory:') as database:
            self.server.table.to_sql('apogeeStar', database, index=False)
            self.answer(200, b'#Table1\n' + pd.read_sql(query, database).to_csv(index=False).encode())

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, table, files):
        super().__init__(('127.0.0.1', 0), Answers)
        self.table, self.files = table, files
        self.asked, self.lock, self.slowly = Counter(), threading.Lock(), 0.
        self.url = f'http://127.0.0.1:{self.server_address[1]}'

    def handle_error(self, *args):
        pass  # a client that was killed

    def fetched(self):
        "How many files were asked for"
        return sum(path.startswith('/sas/') for path in self.asked)


@pytest.fixture(scope='module')
def server():
    load_all()
    table, files = survey()
    lost = [path for path in files if table.apogee_id[LOST] in path]
    server = Server(table, {path: content for path, content in files.items() if path not in lost})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Desk(NamedTuple):
    "A folder to work in, and variables of the environment in which settings name the server"
    folder: Path
    variables: dict


@pytest.fixture
def desk(server, tmp_path):
    settings = tmp_path / 'settings' / 'astropy'
    settings.mkdir(parents=True)
    addresses = dict(sas_url=f'{server.url}/sas', skyserver_url=server.url, simbad_url=server.url)
    lines = [f'{name} = {address}' for name, address in addresses.items()]
    (settings / 'stellar_gen.cfg').write_text('\n'.join(['[archive]', *lines]) + '\n')
    folder = tmp_path / 'desk'
    folder.mkdir()
    return Desk(folder, dict(XDG_CONFIG_HOME=str(settings.parent), NO_PROXY='*'))


def as_command(desk, args, said):
    "Go on as a command in a process of its own, whose words go into a file"
    from stellar_gen.archive import conf
    status = 1
    try:
        os.chdir(desk.folder)
        os.environ.update(desk.variables)
        conf.reload()  # settings, from the files of these variables
        words = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(words, 2)
        sys.stdout, sys.stderr = open(1, 'w', closefd=False), open(2, 'w', buffering=1, closefd=False)
        status = status_of(args)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(desk, *args, until=lambda seconds: False):
    "How a command ends, and the lines that it says; it is killed where `until` is true of the seconds it took"
    said = desk.folder.with_name('said')
    start = time.time()
    child = os.fork()
    if not child:
        as_command(desk, args, said)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), said.read_text().splitlines()
        if until(time.time() - start) or time.time() - start > PATIENCE:
            os.kill(child, signal.SIGKILL)
        time.sleep(.01)


# ----------------------------------------------------------------------------------------------------------------- the tests
def test_from_names_to_odd_stars(server, desk):
    "Each command is killed half way and run again; nothing is lost, and one name too many costs a line"
    folder = desk.folder
    names = server.table.apogee_id.tolist()
    (folder / 'stars.txt').write_text('\n'.join(['# giants of a cluster', *names, UNKNOWN]) + '\n')
    half_way = {
        'fetch': lambda seconds: server.fetched() >= STARS // 3,
        'ingest': lambda seconds: (folder / 'store').exists() or seconds > 10,
        'score': lambda seconds: seconds > SOON,
        'report': lambda seconds: seconds > SOON,
    }
    server.slowly = .1
    for step, (made, args) in STEPS.items():
        assert run(desk, *args, until=half_way[step])[0] == -signal.SIGKILL, f'{step} was over before it was killed'
        server.slowly = 0.
        if step in ('score', 'report'):
            assert not (folder / made).is_file(), f'{step} leaves half a file'
        status, lines = run(desk, *args)
        assert status == (step == 'fetch') and 'Traceback' not in str(lines), f'{step}: {lines[-20:]}'
        if step == 'fetch':
            check_fetched(server, folder, lines)
    here = [name for name in names if name != names[LOST]]
    check_results(folder, here)


def check_fetched(server, folder, lines):
    "Every file is the archive's, and a line tells what is not there, and which name is none"
    home = {str(p.relative_to(folder / 'sas')): p.read_bytes() for p in (folder / 'sas').rglob('*.fits')}
    assert home == server.files
    kept = ('.fits', '.csv', '.lock', '')  # stars, the list, locks that nobody holds, `.verified`
    assert not [p for p in (folder / 'sas').rglob('*') if p.is_file() and p.suffix not in kept]
    assert lines[0] == f'stellar_gen: 1 not in DR17: {UNKNOWN}'
    assert server.table.apogee_id[LOST] in lines[1] and '404' in lines[1] and len(lines) == 3
    status = pd.read_csv(folder / 'sas' / 'fetched.csv').status.value_counts()
    assert status.sum() == STARS and status['failed'] == 1
    assert status['present'] >= 1, 'nothing that came before the kill was used'


def check_results(folder, names):
    "A row for every star, as the library scores them, and the page names the first"
    from stellar_gen.anomaly import score
    from stellar_gen.data import SpectraStore
    from stellar_gen.model import load_model
    scores = pd.read_csv(folder / 'scores.csv')
    assert sorted(scores.apogee_id) == sorted(names)
    alone = score(load_model(MODEL), SpectraStore(folder / 'store')[:3])
    np.testing.assert_allclose(scores.anomaly[:3], alone.anomaly, atol=.02)
    ranked = pd.read_csv(folder / 'gallery' / 'scores.csv')
    assert sorted(ranked.apogee_id) == sorted(names) and ranked.anomaly.is_monotonic_decreasing
    assert ranked.apogee_id[0] in (folder / 'gallery' / 'report.html').read_text()


def test_one_star_by_its_name(desk):
    "Simbad knows the name, SkyServer the telescope, the archive the file; a name that nobody knows is one line"
    status, lines = run(desk, 'star', 'Arcturus')
    assert status == 0, lines[-20:]
    made = desk.folder / '2M14153968+1910558'
    assert pd.read_csv(made / 'star.csv').apogee_id.tolist() == ['2M14153968+1910558']
    page = (made / 'star.html').read_text()
    assert '<h1>Arcturus</h1>' in page and 'data:image/png' in page
    assert run(desk, 'star', 'Arcturuss') == (1, ['stellar_gen: Arcturuss: unknown to Simbad'])


def test_a_cone(desk, server):
    "All stars of a part of the sky, and none of the others; by the installed command, as a shell runs it"
    cone = ['--cone', '132.05', '11.05', '0.2', '--out', 'cone', '-q']
    done = subprocess.run([COMMAND, 'fetch', *cone], cwd=desk.folder, env=os.environ | desk.variables, capture_output=True, text=True,
                          timeout=PATIENCE)
    near = server.table[np.hypot((server.table.ra - 132.05) * np.cos(np.deg2rad(11.05)), server.table.dec - 11.05) < .2]
    found = sorted(p.name for p in (desk.folder / 'cone').rglob('*.fits'))
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(found) == len(near) > 2 and all(any(name in file for file in found) for name in near.apogee_id)


# What makes the commands of README.md quick, where they would take minutes
QUICKLY = {
    'simulate': ['--n', '120'],
    'train': ['--epochs', '1', '--device', 'cpu'],
    'report': ['--top', '1'],
    'demo': ['--n', '200', '--epochs', '1', '--device', 'cpu'],
}


def test_commands_of_the_readme(desk, root):
    "Each runs as it is printed, with what those before have made; only numbers of stars and epochs are smaller"
    text = (root / 'README.md').read_text().split('## On the command line')[1]
    block = re.search(r'```sh\n(.*?)```', text, re.S)[1]
    commands = [shlex.split(line, comments=True) for line in block.splitlines() if line]
    assert len(commands) >= 12 and all(words[0] == 'stellar_gen' for words in commands)
    for _, command, *args in commands:
        status, lines = run(desk, command, *args, *QUICKLY.get(command, []))
        assert status == 0 and 'Traceback' not in str(lines), f'{command} {args}: {lines[-20:]}'
        if '--out' in args:
            assert (desk.folder / args[args.index('--out') + 1]).exists()
