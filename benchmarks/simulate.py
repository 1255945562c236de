"""How fast a survey is simulated straight to a store, and how hard it is; one run, one table.

    python benchmarks/simulate.py [--n 10000]

The second part fits principal components, with the weights they should have, to prepared stars that they were not
learned from. A perfect model has a reduced chi-square above 1, since errors are not what they are claimed to be.
"""
import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from stellar_gen.data import CHIPS
from stellar_gen.preprocess import Recipe
from stellar_gen.simulate import simulate, simulate_store

TRAIN, TEST = 4000, 800         # stars that components are learned from and fitted to
COMPONENTS = 8, 16, 32, 64
KINDS = dict(giant='giants', dwarf='dwarfs', hot='hot')
FAINT = 150                     # S/N
LIT = np.concatenate([np.arange(chip.start, chip.stop) for chip in CHIPS.values()])  # pixels of the detectors


def speed(n):
    "Print how long a store takes, by one process and by two, and how much memory"
    with tempfile.TemporaryDirectory() as folder:
        for workers, who, stars in ((1, '1 process', n // 5), (2, '2 processes', n)):
            start = time.perf_counter()
            simulate_store(Path(folder) / f'by {workers}', stars, workers=workers, quiet=True)
            seconds = time.perf_counter() - start
            rate = stars / seconds
            print(f'{stars:,} stars to a store by {who}: {seconds:.0f} s, {rate:,.0f} per second', flush=True)
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak = sum(resource.getrusage(who).ru_maxrss for who in both) / 1024
    print(f'peak resident memory of this process and of the largest child: {peak:,.0f} MiB')


def chi2_left(basis, off, ivar):
    "Reduced chi-square (N,) of differences from the mean (N,P), but for components (K,P) with the right weights"
    fits = []
    for one, weight in zip(off, ivar):
        weighted = basis * weight
        fits.append(np.linalg.solve(weighted @ basis.T, weighted @ one) @ basis)
    return (ivar * (off - fits)**2).sum(1) / (ivar > 0).sum(1)


def hardness(train, test):
    "For each number of components, reduced chi-squares of all test stars and of groups"
    learned, flux, ivar = (array[:, LIT].astype(float) for array in (train.flux, test.flux, test.ivar))
    mean = learned.mean(0)
    directions = np.linalg.svd(learned - mean, full_matrices=False)[2]
    faint = test.meta.snr.to_numpy() < FAINT
    kind = test.meta.kind.to_numpy()
    for n in COMPONENTS:
        chi2 = chi2_left(directions[:n], flux - mean, ivar)
        of_kinds = [np.median(chi2[kind == one]) for one in KINDS]
        yield n, [np.median(chi2), chi2.mean(), np.median(chi2[faint]), *of_kinds]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--n', type=int, default=10_000)
    speed(parser.parse_args().n)
    recipe = Recipe()
    names = ['median', 'mean', f'S/N<{FAINT}', *KINDS.values()]
    print(f'{"components":>10} ' + ' '.join(f'{name:>8}' for name in names))
    for n, values in hardness(recipe(simulate(TRAIN, 1)), recipe(simulate(TEST, 2))):
        print(f'{n:10} ' + ' '.join(f'{value:8.2f}' for value in values), flush=True)


if __name__ == '__main__':
    main()
