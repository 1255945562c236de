"""Reading FITS files into a store, and the store against h5py with the same layout; one run, one table.

    python benchmarks/store.py [--files 1000] [--rows 32768]

Rows per second are for flux and ivar together, from the page cache. The last part reads a store that is larger than
the memory the process may have.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from stellar_gen.data import SpectraStore, concat, ingest, read_spectrum, write_apstar
from stellar_gen.simulate import simulate

PIXELS = 8575
CHUNK = 128          # rows
BATCH = 64           # rows
BATCHES = 20         # of random rows that are read out of HDF5
BLOCK = 1024         # rows that are written at a time
SIMULATED = 256      # different stars among the files
MIB = 2**20
LIMIT = 1000 * MIB   # of the memory of the process that reads a larger store
ONE_THREAD = dict(OMP_NUM_THREADS='1', OPENBLAS_NUM_THREADS='1', MALLOC_ARENA_MAX='2')


def clock(work):
    "Seconds on the clock, and what a function returns"
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


# ---------------------------------------------------------------------------------------------------------- ingesting
def write_files(folder, n):
    "Files of one spectrum each, a hundred to a folder"
    survey = simulate(min(n, SIMULATED), 0)
    paths = []
    for i in range(n):
        star = survey[i % len(survey)]
        brighter = star.replace(flux=star.flux * (1 + i))
        paths.append(write_apstar(brighter, folder / f'{i // 100:03d}' / f'apStar-{i:05d}.fits'))
    return paths


def naive(paths, out):
    "What one writes first: a loop over astropy's reader, everything in memory, one HDF5 file at the end"
    spectra = concat(read_spectrum(path) for path in paths)
    chunks = min(CHUNK, len(spectra)), PIXELS
    with h5py.File(out, 'w') as file:
        for name in ('flux', 'ivar', 'bitmask'):
            file.create_dataset(name, data=getattr(spectra, name), chunks=chunks)


def ingestion(folder, n):
    "Rows of the table: what, how, files per second, ratio"
    tree = folder / 'tree'
    paths = write_files(tree, n)
    base, _ = clock(lambda: naive(paths, folder / 'naive.h5'))
    yield 'ingest', 'naive loop and h5py, one process', n / base, 1.
    again = 'stellar_gen, run again with nothing to do'
    for how, workers in (('stellar_gen, 1 process', 1), ('stellar_gen, 2 processes', 2), (again, 2)):
        seconds, store = clock(lambda w=workers: ingest(tree, folder / f'ingested{w}', workers=w, quiet=True))
        assert len(store) == n
        yield 'ingest', how, n / seconds, base / seconds


# ------------------------------------------------------------------------------------------------------------ reading
def big_store(path, n):
    "A store of the same stars again and again, brighter each time"
    spectra = simulate(BLOCK, 0)
    store = SpectraStore.create(path)
    for i in range(n // BLOCK):
        brightness = np.float32(1 + i / 7)
        store.append(spectra.replace(flux=spectra.flux * brightness, ivar=spectra.ivar / brightness**2))
    return store


def write_hdf5(path, store, **options):
    "Flux and inverse variance of a store"
    with h5py.File(path, 'w') as file:
        arrays = {name: file.create_dataset(name, (len(store), PIXELS), 'f4', chunks=(CHUNK, PIXELS), **options)
                  for name in ('flux', 'ivar')}
        for start in range(0, len(store), BLOCK):
            rows = slice(start, start + BLOCK)
            spectra = store[rows]
            for name, array in arrays.items():
                array[rows] = getattr(spectra, name)


def straight(path):
    "Read all rows in order, and count them"
    with h5py.File(path) as file:
        n = len(file['flux'])
        for start in range(0, n, CHUNK):
            rows = slice(start, start + CHUNK)
            file['flux'][rows], file['ivar'][rows]  # noqa: B018
    return n


def shuffled(path, rng):
    "Read some batches of random rows, and count them"
    with h5py.File(path) as file:
        order = rng.permutation(len(file['flux']))
        for start in range(0, BATCHES * BATCH, BATCH):
            rows = np.sort(order[start:start + BATCH])
            file['flux'][rows], file['ivar'][rows]  # noqa: B018
    return BATCHES * BATCH


def batches(store, shuffle):
    "Read a store by batches, and count its rows"
    return sum(len(rows) for rows, _, _ in store.batches(BATCH, shuffle=shuffle))


def size(store):
    "Bytes of flux and inverse variance"
    files = (store.path / 'spectra.zarr').glob('[fi]*/**/*')
    return sum(file.stat().st_size for file in files if file.is_file())


def compared(what, ways):
    "Rows of the table, of functions that count what they read; ratios are to the first"
    base = None
    for how, work in ways.items():
        seconds, n = clock(work)
        rate = n / seconds
        base = base or rate
        yield what, how, rate, rate / base


def reading(folder, store):
    "Rows of the table: what, how, spectra per second (or MB), ratio"
    plain, packed = folder / 'uncompressed.h5', folder / 'packed.h5'
    write_hdf5(plain, store)
    write_hdf5(packed, store, compression='lzf', shuffle=True)
    yield from compared('sequential', {
        'h5py, uncompressed': lambda: straight(plain),
        'h5py, LZF and shuffle': lambda: straight(packed),
        'stellar_gen batches': lambda: batches(store, False),
    })
    rng = np.random.default_rng(0)
    yield from compared('shuffled', {
        'h5py, uncompressed, random rows': lambda: shuffled(plain, rng),
        'h5py, LZF and shuffle, random rows': lambda: shuffled(packed, rng),
        'stellar_gen batches': lambda: batches(store, True),
    })
    sizes = {'stellar_gen': size(store), 'h5py, uncompressed': plain.stat().st_size,
             'h5py, LZF and shuffle': packed.stat().st_size}
    for how, n in sizes.items():
        yield 'size (MB)', how, n / 1e6, n / sizes['h5py, uncompressed']


# ------------------------------------------------------------------------------------------------------------- memory
CAPPED = '''
import resource
import sys
import numpy as np
from stellar_gen.data import SpectraStore
path, limit = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
store = SpectraStore(path)
total = 0.
for rows, flux, ivar in store.batches(256, shuffle=True, pool=2048):
    total += float(np.nansum(flux, dtype=float))
np.nan_to_num(store.array('flux')[:, 300:400]).mean().compute()
peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(len(store), peak.split()[1])
'''


def memory(store):
    "Read a store under a limit, shuffled and by Dask"
    command = [sys.executable, '-c', CAPPED, str(store.path), str(LIMIT)]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    if run.returncode:
        sys.exit(run.stderr[-2000:])
    n, peak_kib = map(int, run.stdout.split())
    held = len(store) * PIXELS * 2 * np.float32().nbytes
    print(f'memory: {n:,} rows, {held / MIB:,.0f} MiB of flux and ivar, read shuffled and by Dask under a limit of '
          f'{LIMIT / MIB:.0f} MiB of data; peak resident {peak_kib / 1024:,.0f} MiB')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--files', type=int, default=1000)
    parser.add_argument('--rows', type=int, default=32_768)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        print(f'{"what":12} {"how":45} {"per second":>12} {"ratio":>8}')
        for what, how, rate, ratio in ingestion(folder, given.files):
            print(f'{what:12} {how:45} {rate:12,.0f} {ratio:8.2f}', flush=True)
        store = big_store(folder / 'big', given.rows)
        for what, how, rate, ratio in reading(folder, store):
            print(f'{what:12} {how:45} {rate:12,.0f} {ratio:8.2f}', flush=True)
        memory(store)


if __name__ == '__main__':
    main()
