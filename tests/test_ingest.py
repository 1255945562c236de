"An ingest that is killed, and one of many broken files"
import multiprocessing, os, signal, time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

def tree(p): return {str(f.relative_to(p)):f.read_bytes() for f in sorted(Path(p).rglob('*')) if f.is_file()}

@pytest.fixture(scope='module')
def files(tmp_path_factory):
    "Sixty good files and six broken ones"
    from stellar_gen.data import sample_spectra, write_apstar
    d,star = tmp_path_factory.mktemp('files'),sample_spectra()[1]
    for i in range(60): write_apstar(star.replace(flux=star.flux*(1+i), meta=star.meta.assign(apogee_id=f'2M{i:08d}+0000000')), d/f'{i//10}'/f'apStar-{i:02d}.fits')
    for i in range(6): (d/f'{i}'/'cut.fits').write_bytes((d/f'{i}'/f'apStar-{i}5.fits').read_bytes()[:1000*(1+i)**3])
    return d

def test_killed_ingest_is_completed(files, tmp_path):
    "Twenty kills at random moments, each followed by a second run: every store is the undisturbed one, byte for byte"
    from stellar_gen.data import SpectraStore, ingest, is_store
    def run(out): ingest(files, out, batch=8, workers=1, quiet=True)
    start = time.time(); run(tmp_path/'whole'); took = time.time()-start
    whole,rng,held = tree(tmp_path/'whole'),np.random.default_rng(0),[]
    for k in range(20):
        out,child = tmp_path/f'{k}',multiprocessing.get_context('fork').Process(target=run, args=(tmp_path/f'{k}',))
        child.start()
        time.sleep(took*rng.uniform(.02, .95))
        os.kill(child.pid, signal.SIGKILL); child.join()
        held.append(len(SpectraStore(out)) if is_store(out) else -1)
        run(out)
        assert tree(out)==whole, f'kill {k}, after which {held[-1]} rows were there'
    assert len(set(held))>=4, f'the kills were no test: rows held after each {held}'
    print(f'rows held after each kill: {held}')

def test_broken_files_leave_no_row(files, tmp_path):
    "Two hundred broken files among good ones: a line for each, and the store holds the good ones and nothing else"
    from stellar_gen.data import SpectraStore, ingest
    rng,good = np.random.default_rng(1),sorted(files.rglob('apStar-*.fits'))
    mixed = tmp_path/'mixed'; mixed.mkdir()
    with fits.open(good[0]) as hs: data = [h.fileinfo()['datLoc'] for h in hs[1:4]]
    for i in range(200):
        b = bytearray(good[i%60].read_bytes())
        if i%2: b = b[:rng.integers(1, len(b)-1)]
        else: b[rng.choice(data)+rng.integers(8575*4)] ^= 1<<rng.integers(8) # a bit of the flux, the error or the mask
        (mixed/f'broken{i:03d}.fits').write_bytes(b)
    for p in good[:20]: os.link(p, mixed/p.name)
    s = ingest(mixed, tmp_path/'store', batch=64, workers=1, quiet=True)
    assert s.meta.file.tolist()==[p.name for p in good[:20]]
    assert s.failed.path.nunique()==len(s.failed)==200 and not s.failed.error.str.contains('\n').any()
    assert all(e.startswith(p+':') for p,e in zip(s.failed.path, s.failed.error))
    assert np.isfinite(SpectraStore(tmp_path/'store')[:].ivar).all()
