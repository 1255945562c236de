"""A whole survey from simulated spectra to the report, each step by its command: how long, and how much memory.

    python benchmarks/rehearsal.py [--stars 100000] [--scheduler tcp://...]

The resident memory of a step is that of all its processes together, looked at ten times a second; pages that processes
share count in each of them. Seconds of the processor are those of the finished processes. The last column is what the
step would take for all of DR17 at this rate.
"""
import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DR17 = 733_901        # combined spectra
NORMAL = 1000         # stars to calibrate with
ONCE = ('simulate, normal stars', 'calibrate')  # steps that take no longer for more stars
LOOKS = 0.1           # seconds between two looks at the memory
MOST_MEMORY = 3.0     # GB, the aim
PAGE = os.sysconf('SC_PAGE_SIZE')
COMMAND = [sys.executable, '-c', 'from stellar_gen.cli import main; main()']
PREPARE = 'import sys; from stellar_gen.preprocess import preprocess_store; preprocess_store(*sys.argv[1:], quiet=True)'


def family(pid):
    "A process and all that descend from it"
    parents = {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            parents[int(folder.name)] = int((folder / 'stat').read_text().rpartition(')')[2].split()[1])
        except OSError:
            continue  # it has ended
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def resident(pid):
    "Resident memory (GB) of a process and all that descend from it"
    total = 0
    for one in family(pid):
        try:
            total += int(Path(f'/proc/{one}/statm').read_text().split()[1]) * PAGE
        except OSError:
            continue
    return total / 1e9


def spent():
    "Seconds of the processor that finished children have taken"
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def step(arguments):
    "Seconds, seconds of the processor, and peak memory (GB) of a command"
    start, before, peak = time.perf_counter(), spent(), 0.
    process = subprocess.Popen(list(map(str, arguments)))
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(LOOKS)
    if process.returncode:
        raise SystemExit(f'{" ".join(map(str, arguments[-4:]))}: ended with status {process.returncode}')
    return time.perf_counter() - start, spent() - before, peak


def steps(folder, stars, where):
    "Name, number of spectra, and command of each step"
    store, normal, model, scores = (folder / name for name in ('store', 'normal', 'model', 'scores.parquet'))
    quiet = ['--quiet']
    yield 'simulate', stars, [*COMMAND, 'simulate', '--n', stars, '--out', store, '--seed', 1, *quiet]
    yield 'simulate, normal stars', NORMAL, [*COMMAND, 'simulate', '--n', NORMAL, '--out', normal, '--seed', 2, *quiet]
    yield 'prepare', stars, [sys.executable, '-c', PREPARE, store, folder / 'prepared']
    yield 'calibrate', NORMAL, [*COMMAND, 'calibrate', 'apogee-16', normal, '--out', model, *quiet]
    yield 'score', stars, [*COMMAND, 'score', model, store, '--out', scores, *where, *quiet]
    yield 'report', stars, [*COMMAND, 'report', model, store, '--scores', scores, '--out', folder / 'report', *quiet]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--stars', type=int, default=100_000)
    parser.add_argument('--scheduler', help='address of a Dask scheduler, for score')
    given = parser.parse_args()
    where = ['--scheduler', given.scheduler] if given.scheduler else []
    print('| step | spectra | seconds | per second | per second of the processor | peak GB | hours for DR17 |')
    print('|---|---:|---:|---:|---:|---:|---:|')
    highest = 0.
    with tempfile.TemporaryDirectory() as folder:
        for name, spectra, command in steps(Path(folder), given.stars, where):
            seconds, cpu, peak = step(command)
            highest = max(highest, peak)
            hours = '' if name in ONCE else f'{DR17 / spectra * seconds / 3600:.1f}'
            print(f'| {name} | {spectra:,} | {seconds:,.0f} | {spectra / seconds:,.0f} | {spectra / cpu:,.0f} | '
                  f'{peak:.2f} | {hours} |', flush=True)
    print(f'Peak memory {highest:.2f} GB; the aim is {MOST_MEMORY} GB')


if __name__ == '__main__':
    main()
