"The installed command, as a shell runs it"
import gzip
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from astropy.io import fits

COMMAND = str(Path(sys.executable).with_name('stellar_gen'))


def run(*args):
    return subprocess.run([COMMAND, *map(str, args)], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    d = tmp_path_factory.mktemp('model')
    assert run('simulate', '--n', 150, '--out', d / 'survey', '-q').returncode == 0
    assert run('train', d / 'survey', '--out', d / 'model', '--epochs', 1, '--device', 'cpu', '-q').returncode == 0
    return d / 'model'


def test_help_names_every_command():
    commands = ('simulate', 'train', 'score', 'demo')
    out = run('--help').stdout
    assert all(c in out for c in commands)
    for c in commands:
        assert run(c, '--help').returncode == 0


def write_bad_files(folder, good):
    "Cut off, empty, no FITS, no spectrum, nothing but zeros or NaN; and the path of a file that is not there"
    raw = gzip.decompress(good.read_bytes())
    (folder / 'cut.fits').write_bytes(raw[:100_000])
    (folder / 'cut.fits.gz').write_bytes(good.read_bytes()[:20_000])
    (folder / 'text.fits').write_text('SIMPLE text')
    (folder / 'empty.fits').write_bytes(b'')
    column = fits.Column('x', 'D', array=[1., 2.])
    fits.BinTableHDU.from_columns([column]).writeto(folder / 'table.fits')
    for name, value in (('zero', 0), ('nan', float('nan'))):
        with fits.open(good) as hdus:
            hdus[1].data[:] = value
            hdus.writeto(folder / f'{name}.fits')
    return sorted(folder.glob('*.fits*')) + [folder / 'missing.fits']


def test_bad_files_cost_one_line_each(model, tmp_path):
    from stellar_gen.data import sample_paths
    good = sample_paths()[1]
    bad = write_bad_files(tmp_path, good)
    r = run('score', model, *bad[:4], good, *bad[4:], '--out', tmp_path / 's.csv')
    lines = r.stderr.splitlines()
    assert r.returncode == 1 and 'Traceback' not in r.stderr and len(lines) == len(bad) + 1
    for p in bad:
        assert sum(f'{p}:' in line for line in lines) == 1, p
    s = pd.read_csv(tmp_path / 's.csv')
    assert s.apogee_id.tolist() == ['2M19485057+5005279'] and s[['chi2', 'anomaly']].notna().all(axis=None)


def test_nothing_is_written_when_nothing_is_good(model, tmp_path):
    r = run('score', model, tmp_path / 'none.fits', '--out', tmp_path / 's.csv')
    assert r.returncode == 1 and len(r.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_real_stars(model, shared, tmp_path):
    files = sorted((shared / 'apogee').glob('apStar-*.fits'))
    r = run('score', model, *files, '--out', tmp_path / 's.csv', '-q')
    assert (r.returncode, r.stdout, r.stderr) == (0, '', '')
    s = pd.read_csv(tmp_path / 's.csv')
    assert s.apogee_id.tolist() == ['2M17335483-2753043', '2M19485057+5005279']
    assert s[['chi2', 'anomaly']].notna().all(axis=None)


@pytest.mark.parametrize('words, said', [
    (('simulate', '--n', 0, '--out', 'x'), "'--n'"), (('simulate',), "'--out'"), (('simulate', '--bogus'), '--bogus'),
    (('bogus',), "'bogus'")])
def test_wrong_words_cost_one_line(words, said, tmp_path):
    r = run(*words)
    assert (r.returncode, r.stdout, len(r.stderr.splitlines())) == (2, '', 1)
    assert r.stderr.startswith('stellar_gen: ') and said in r.stderr and r.stderr.rstrip().endswith('--help')


def test_help_ends_well():
    assert [run(*words).returncode for words in (('--version',), ('simulate', '-h'))] == [0, 0]
    r = run()
    assert (r.returncode, r.stderr) == (2, '') and 'Commands' in r.stdout
