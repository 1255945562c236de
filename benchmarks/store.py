"""Reading FITS files into a store, and the store against h5py with the same layout; one run, one table.

    python benchmarks/store.py [--files 1000] [--rows 32768]

Rows per second are for flux and ivar together, from the page cache. The last part reads a store that is larger than
the memory the process may have.
"""
import argparse, subprocess, sys, tempfile, time
from pathlib import Path

import h5py, numpy as np
from stellar_gen.data import SpectraStore, concat, ingest, read_spectrum, write_apstar
from stellar_gen.simulate import simulate

CHUNK = 128

def clock(f):
    t = time.perf_counter(); r = f()
    return time.perf_counter()-t, r

def naive(paths, out):
    "What one writes first: a loop over astropy's reader, everything in memory, one HDF5 file at the end"
    s = concat(read_spectrum(p) for p in paths)
    with h5py.File(out, 'w') as h:
        for n in ('flux','ivar','bitmask'): h.create_dataset(n, data=getattr(s,n), chunks=(CHUNK,8575))

def ingestion(d, n):
    survey = simulate(min(n, 256), 0)
    paths = [write_apstar(survey[i%len(survey)].replace(flux=survey.flux[i%len(survey)]*(1+i)), d/'tree'/f'{i//100:03d}'/f'apStar-{i:05d}.fits') for i in range(n)]
    base,_ = clock(lambda: naive(paths, d/'naive.h5'))
    yield 'ingest', 'naive loop and h5py, one process', n/base, 1.
    for w in (1,2):
        t,s = clock(lambda: ingest(d/'tree', d/f'ingested{w}', workers=w, quiet=True))
        assert len(s)==n
        yield 'ingest', f'stellar_gen, {w} process' + 'es'*(w>1), n/t, base/t
    t,_ = clock(lambda: ingest(d/'tree', d/'ingested2', workers=2, quiet=True))
    yield 'ingest', 'stellar_gen, run again with nothing to do', n/t, base/t

def big_store(path, n):
    s = simulate(1024, 0)
    store = SpectraStore.create(path)
    for i in range(n//1024): store.append(s.replace(flux=s.flux*np.float32(1+i/7), ivar=s.ivar/np.float32(1+i/7)**2))
    return store

def reading(d, store, bs=64):
    n = len(store)
    order = np.random.default_rng(0)
    files = {}
    for name,kw in (('h5py, uncompressed',{}), ('h5py, LZF and shuffle',dict(compression='lzf', shuffle=True))):
        files[name] = d/(name.split()[1]+'.h5')
        with h5py.File(files[name], 'w') as h:
            for a in ('flux','ivar'):
                o = h.create_dataset(a, (n,8575), 'f4', chunks=(CHUNK,8575), **kw)
                for i in range(0, n, 1024): o[i:i+1024] = store._group[a][i:i+1024]
    def straight(path):
        with h5py.File(path) as h:
            for i in range(0, n, CHUNK): h['flux'][i:i+CHUNK],h['ivar'][i:i+CHUNK]
    def shuffled(path, most=20):
        with h5py.File(path) as h:
            rows = order.permutation(n)
            for k in range(most): r = np.sort(rows[k*bs:(k+1)*bs]); h['flux'][r],h['ivar'][r]
        return most*bs
    def ours(shuffle): return sum(len(r) for r,_,_ in store.batches(bs, shuffle=shuffle))
    size = {'stellar_gen':sum(f.stat().st_size for f in (store.path/'spectra.zarr').glob('[fi]*/**/*') if f.is_file())} | {k:f.stat().st_size for k,f in files.items()}
    base = {}
    for name,p in files.items():
        t,_ = clock(lambda: straight(p)); base.setdefault('seq', n/t); yield 'sequential', name, n/t, n/t/base['seq']
    t,_ = clock(lambda: ours(False)); yield 'sequential', 'stellar_gen batches', n/t, n/t/base['seq']
    for name,p in files.items():
        t,m = clock(lambda: shuffled(p)); base.setdefault('shuf', m/t); yield 'shuffled', name+', random rows', m/t, m/t/base['shuf']
    t,m = clock(lambda: ours(True)); yield 'shuffled', 'stellar_gen batches', m/t, m/t/base['shuf']
    for k,v in size.items(): yield 'size (MB)', k, v/1e6, v/size['h5py, uncompressed']

CAPPED = '''
import resource, sys, numpy as np
from stellar_gen.data import SpectraStore
cap = int(sys.argv[2]); resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
s = SpectraStore(sys.argv[1]); total = 0.
for r,f,v in s.batches(256, shuffle=True, pool=2048): total += float(np.nansum(f, dtype=float))
mean = np.nan_to_num(s.array('flux')[:, 300:400]).mean().compute()
print(len(s), total, mean, next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])
'''

if __name__=='__main__':
    p = argparse.ArgumentParser(); p.add_argument('--files', type=int, default=1000); p.add_argument('--rows', type=int, default=32768)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        print(f'{"what":12} {"how":45} {"per second":>12} {"ratio":>8}')
        def show(rows):
            for what,how,rate,ratio in rows: print(f'{what:12} {how:45} {rate:12,.0f} {ratio:8.2f}', flush=True)
        show(ingestion(d, a.files))
        store = big_store(d/'big', a.rows)
        show(reading(d, store))
        held,cap = len(store)*8575*8,1000<<20
        r = subprocess.run([sys.executable, '-c', CAPPED, str(store.path), str(cap)], capture_output=True, text=True, env={**__import__('os').environ, 'OMP_NUM_THREADS':'1', 'OPENBLAS_NUM_THREADS':'1', 'MALLOC_ARENA_MAX':'2'})
        if r.returncode: sys.exit(r.stderr[-2000:])
        n,_,_,rss = r.stdout.split()
        print(f'memory: {int(n):,} rows, {held/2**20:,.0f} MiB of flux and ivar, read shuffled and by Dask under a limit of {cap/2**20:.0f} MiB of data; peak resident {int(rss)/1024:,.0f} MiB')
