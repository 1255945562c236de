"""How fast a survey is simulated straight to a store, and how hard it is; one run, one table.

    python benchmarks/simulate.py [--n 10000]

The second part fits principal components, with the weights they should have, to prepared stars that they were not
learned from. A perfect model has a reduced chi-square above 1, since errors are not what they are claimed to be.
"""
import argparse, resource, tempfile, time
from pathlib import Path

import numpy as np
from stellar_gen.data import CHIPS
from stellar_gen.preprocess import Recipe
from stellar_gen.simulate import simulate, simulate_store

def hardness(train, test, ks=(8,16,32,64)):
    on = np.concatenate([np.arange(8575)[c] for c in CHIPS.values()])
    F,G,W = train.flux[:,on].astype(float),test.flux[:,on].astype(float),test.ivar[:,on].astype(float)
    mean = F.mean(0)
    V = np.linalg.svd(F-mean, full_matrices=False)[2]
    for k in ks:
        v = V[:k]
        fit = np.stack([v.T@np.linalg.solve((v*w)@v.T, (v*w)@r) for r,w in zip(G-mean, W)])
        c = (W*(G-mean-fit)**2).sum(1)/(W>0).sum(1)
        faint = test.meta.snr.to_numpy()<150
        yield k, np.median(c), c.mean(), np.median(c[faint]), *(np.median(c[(test.meta.kind==q).to_numpy()]) for q in ('giant','dwarf','hot'))

if __name__=='__main__':
    p = argparse.ArgumentParser(); p.add_argument('--n', type=int, default=10_000)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as d:
        for workers in (1,2):
            t = time.perf_counter()
            simulate_store(Path(d)/f's{workers}', a.n if workers>1 else a.n//5, workers=workers, quiet=True)
            t = time.perf_counter()-t
            n = a.n if workers>1 else a.n//5
            print(f'{n:,} stars to a store by {workers} process{"es"*(workers>1)}: {t:.0f} s, {n/t:,.0f} per second', flush=True)
        peak = sum(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF,resource.RUSAGE_CHILDREN))/1024
        print(f'peak resident memory of this process and of the largest child: {peak:,.0f} MiB')
    recipe = Recipe()
    print(f'{"components":>10} {"median":>8} {"mean":>8} {"S/N<150":>8} {"giants":>8} {"dwarfs":>8} {"hot":>8}')
    for row in hardness(recipe(simulate(4000, 1)), recipe(simulate(800, 2))): print(f'{row[0]:10} ' + ' '.join(f'{v:8.2f}' for v in row[1:]), flush=True)
