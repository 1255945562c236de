"An ingest that is killed, and one of many broken files"
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

GOOD, BROKEN = 60, 200
KILLS = 10


def tree(folder):
    "Every file below a folder, by its path"
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(Path(folder).rglob('*')) if f.is_file()}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    "Sixty good files and six broken ones"
    from stellar_gen.data import sample_spectra, write_apstar
    d = tmp_path_factory.mktemp('files')
    star = sample_spectra()[1]
    for i in range(GOOD):
        brighter = star.replace(flux=star.flux * (1 + i), meta=star.meta.assign(apogee_id=f'2M{i:08d}+0000000'))
        write_apstar(brighter, d / f'{i // 10}' / f'apStar-{i:02d}.fits')
    for i in range(6):
        whole = (d / f'{i}' / f'apStar-{i}5.fits').read_bytes()
        (d / f'{i}' / 'cut.fits').write_bytes(whole[:1000 * (1 + i)**3])
    return d


def test_killed_ingest_is_completed(files, tmp_path):
    "Ten kills at random moments, each followed by a second run: every store is the undisturbed one, byte for byte"
    from stellar_gen.data import SpectraStore, ingest, is_store

    def run(out):
        ingest(files, out, batch=8, workers=1, quiet=True)

    start = time.time()
    run(tmp_path / 'whole')
    took = time.time() - start
    whole = tree(tmp_path / 'whole')
    rng = np.random.default_rng(0)
    held = []
    for k in range(KILLS):
        out = tmp_path / f'{k}'
        child = multiprocessing.get_context('fork').Process(target=run, args=(out,))
        child.start()
        time.sleep(took * rng.uniform(.02, .95))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        held.append(len(SpectraStore(out)) if is_store(out) else -1)
        run(out)
        assert tree(out) == whole, f'kill {k}, after which {held[-1]} rows were there'
    assert len(set(held)) >= 4, f'the kills were no test: rows held after each {held}'
    print(f'rows held after each kill: {held}')


def broken(content, data, rng, cut):
    "A file cut off somewhere, or with a bit turned over in its flux, error or mask"
    content = bytearray(content)
    if cut:
        return content[:rng.integers(1, len(content) - 1)]
    content[rng.choice(data) + rng.integers(8575 * 4)] ^= 1 << rng.integers(8)
    return content


def test_broken_files_leave_no_row(files, tmp_path):
    "Two hundred broken files among good ones: a line for each, and the store holds the good ones and nothing else"
    from stellar_gen.data import SpectraStore, ingest
    rng = np.random.default_rng(1)
    good = sorted(files.rglob('apStar-*.fits'))
    mixed = tmp_path / 'mixed'
    mixed.mkdir()
    with fits.open(good[0]) as hdus:
        data = [h.fileinfo()['datLoc'] for h in hdus[1:4]]
    for i in range(BROKEN):
        (mixed / f'broken{i:03d}.fits').write_bytes(broken(good[i % GOOD].read_bytes(), data, rng, cut=i % 2))
    for p in good[:20]:
        os.link(p, mixed / p.name)
    s = ingest(mixed, tmp_path / 'store', batch=64, workers=1, quiet=True)
    assert s.meta.file.tolist() == [p.name for p in good[:20]]
    assert s.failed.path.nunique() == len(s.failed) == BROKEN
    assert not s.failed.error.str.contains('\n').any()
    assert all(error.startswith(path + ':') for path, error in zip(s.failed.path, s.failed.error))
    assert np.isfinite(SpectraStore(tmp_path / 'store')[:].ivar).all()


def nested(path, spectra):
    "A Parquet file of these spectra, as a catalog has them"
    lists = dict(flux=spectra.flux, ivar=spectra.ivar, bitmask=spectra.bitmask)
    lists['lambda'] = np.tile(spectra.wave, (len(spectra), 1))
    column = pa.StructArray.from_arrays([pa.array(array.tolist()) for array in lists.values()], names=list(lists))
    pq.write_table(pa.table(dict(object_id=spectra.meta.apogee_id, spectrum=column)), path, row_group_size=7)


def test_killed_ingest_of_a_catalog_is_completed(tmp_path, monkeypatch):
    "Six kills at random moments, each followed by a second run: every store has each star of the catalog once"
    from stellar_gen.data import SpectraStore, concat, ingest, is_store, sample_spectra
    monkeypatch.setattr('stellar_gen.data.mmu._ROWS', 3)
    star = sample_spectra()[1]
    made = [star.replace(flux=star.flux * (1 + i), meta=star.meta.assign(apogee_id=f'star {i}')) for i in range(40)]
    (tmp_path / 'catalog').mkdir()
    for i in range(4):
        nested(tmp_path / 'catalog' / f'{i}.parquet', concat(made[10 * i:10 * i + 10]))

    def run(out):
        ingest(tmp_path / 'catalog', out, quiet=True)

    start = time.time()
    run(tmp_path / 'whole')
    took = time.time() - start
    whole = tree(tmp_path / 'whole')
    rng = np.random.default_rng(0)
    held = []
    for k in range(6):
        out = tmp_path / f'{k}'
        child = multiprocessing.get_context('fork').Process(target=run, args=(out,))
        child.start()
        time.sleep(took * rng.uniform(.02, .95))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        held.append(len(SpectraStore(out)) if is_store(out) else -1)
        run(out)
        assert tree(out) == whole, f'kill {k}, after which {held[-1]} rows were there'
    assert len(set(held)) >= 3, f'the kills were no test: rows held after each {held}'
    print(f'rows held after each kill: {held}')
