"""A catalog of nested spectra into `Spectra` and into a store: rows per second and memory; one table.

    python benchmarks/mmu.py [--rows 20000] [--catalog FOLDER]

The catalog is written by LSDB in the layout of the public one. Every way of reading it runs in a process of its own,
from the page cache; the last one is what a user of LSDB writes, a partition at a time.
"""
import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

DIFFERENT = 500   # simulated spectra, of which all rows are made by changing the brightness
PARTITION = 4000  # rows of a partition at most
LISTS = ('flux', 'ivar', 'lambda', 'lsf_sigma', 'bitmask')
NUMBER = dict.fromkeys(LISTS, pa.float32()) | dict(bitmask=pa.int64())
KIND = pa.struct([(name, pa.list_(number)) for name, number in NUMBER.items()])
LSF_SIGMA = .28   # pixels

START = '''
import sys
import time
from stellar_gen.data import ingest, stream_mmu
catalog, out = sys.argv[1:]
start, cpu = time.perf_counter(), time.process_time()
'''
END = '''
took, worked = time.perf_counter() - start, time.process_time() - cpu
peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(n, took, worked, int(peak.split()[1]) / 1024)
'''
WAYS = {
    'as `Spectra`, block by block': 'n = sum(len(block.spectra) for block in stream_mmu(catalog))',
    'into a store': 'n = len(ingest(catalog, out, quiet=True))',
    'into a store, run again with nothing to do': 'n = len(ingest(catalog, out, quiet=True))',
    'LSDB, each partition as arrays': '''
import dask
import lsdb
dask.config.set(scheduler='synchronous')
n = 0
opened = lsdb.open_catalog(catalog)
for i in range(opened.npartitions):
    frame = opened.partitions[i].compute(progress_bar=False)
    arrays = []
    for name in ('flux', 'ivar', 'lambda', 'bitmask'):
        arrays.append(frame[f'spectrum.{name}'].to_numpy().reshape(len(frame), -1))
    n += len(frame)
''',
}


def with_spectra(frame, survey, lit):
    "Rows of a table with a spectrum each"
    from nested_pandas import NestedDtype, NestedFrame
    number = frame.number.to_numpy(int)
    brightness = (1 + number / 7).astype(np.float32)[:, None]
    of = number % len(survey)
    arrays = dict(
        flux=survey.flux[of][:, lit] * brightness,
        ivar=survey.ivar[of][:, lit] / brightness**2,
        lsf_sigma=np.full((len(of), lit.sum()), LSF_SIGMA, np.float32),
        bitmask=survey.bitmask[of][:, lit].astype(np.int64),
    )
    arrays['lambda'] = np.tile(survey.wave[lit].astype(np.float32), (len(of), 1))
    ends = np.arange(len(of) + 1, dtype=np.int32) * int(lit.sum())
    lists = [pa.ListArray.from_arrays(ends, arrays[name].ravel()) for name in LISTS]
    column = pa.StructArray.from_arrays(lists, names=list(LISTS))
    frame = NestedFrame(frame)
    frame['spectrum'] = pd.Series(column, dtype=NestedDtype(KIND), index=frame.index)
    return frame


def write_catalog(path, rows):
    "A catalog of that many stars, a partition at a time"
    import dask
    import lsdb

    from stellar_gen.data import APOGEE
    from stellar_gen.simulate import simulate
    dask.config.set(scheduler='synchronous')
    survey = simulate(min(rows, DIFFERENT), 0)
    rng = np.random.default_rng(0)
    stars = pd.DataFrame(dict(
        number=np.arange(rows),
        object_id=[f'2M{i:08d}+0000000' for i in range(rows)],
        ra=rng.uniform(100, 140, rows),
        dec=rng.uniform(-10, 30, rows),
        teff=rng.uniform(4000, 5000, rows).astype(np.float32),
        snr=np.float32(100),
    ))
    place = dict(ra_column='ra', dec_column='dec', margin_threshold=None)

    def add(frame):
        return with_spectra(frame, survey, APOGEE.lit)

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        empty = lsdb.from_dataframe(stars.iloc[:9], **place).compute().iloc[:0]
        catalog = lsdb.from_dataframe(stars, partition_rows=PARTITION, **place)
        catalog.map_partitions(add, meta=add(empty)).write_catalog(path, catalog_name='apogee')


def measured(code, *args):
    "Rows, seconds, seconds of the processor and MiB at most of a process"
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', START + code + END, *map(str, args)],
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return [float(word) for word in done.stdout.split()[-4:]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, default=20000)
    parser.add_argument('--catalog', type=Path, help='one that is there already')
    options = parser.parse_args()
    warnings.filterwarnings('ignore')
    with tempfile.TemporaryDirectory() as folder:
        catalog = options.catalog or Path(folder)/'apogee'
        if not catalog.exists():
            write_catalog(catalog, options.rows)
        files = sorted(catalog.rglob('Npix=*.parquet'))
        print(f'{len(files)} files, {sum(file.stat().st_size for file in files) / 2**20:,.0f} MiB')
        print('| way | per second | per second of the processor | peak MiB |')
        print('|---|---:|---:|---:|')
        for way, code in WAYS.items():
            rows, seconds, cpu, peak = measured(code, catalog, Path(folder)/'store')
            print(f'| {way} | {rows / seconds:,.0f} | {rows / cpu:,.0f} | {peak:,.0f} |', flush=True)


if __name__ == '__main__':
    main()
