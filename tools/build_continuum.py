"""Build `continuum.npz`: the continuum pixels, and what the pseudo-continuum misses, learned from simulated stars.

The pseudo-continuum lies below the true one by what lines take from the "continuum" pixels, and how much that is the
spectrum itself tells: for noiseless stars of the default population (with more rare ones) the logarithm of pseudo over
true continuum, as a Chebyshev polynomial on each chip, is regressed on the principal components of the
pseudo-normalized spectrum and the products of the first of them.
"""
import sys
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev

sys.path.insert(0, str(Path(__file__).parent.parent))
from stellar_gen.data import CHIPS
from stellar_gen.preprocess import fit_continuum, select_continuum_pixels
from stellar_gen.preprocess.continuum import _on_chips, _products
from stellar_gen.simulate import sample_labels, synthesize

OUT = Path(__file__).parent.parent/'stellar_gen'/'assets'/'continuum.npz'
N,COMPONENTS,PRODUCTS,DEG = 6000,24,10,4

def build():
    pixels = select_continuum_pixels()
    true = synthesize(sample_labels(N, seed=99, mix=dict(giant=55, dwarf=30, hot=15))).astype(float)
    pseudo,target = true.copy(),[]
    for c in CHIPS.values():
        cont = fit_continuum(true[:,c], np.ones_like(true[:,c]), pixels[(pixels>=c.start) & (pixels<c.stop)]-c.start, DEG)
        pseudo[:,c] = true[:,c]/cont
        target.append(chebyshev.chebfit(np.linspace(-1, 1, c.stop-c.start), np.log(cont).T, DEG).T)
    x,y = pseudo[:,_on_chips()],np.concatenate(target, 1)
    mean = x.mean(0)
    _,s,v = np.linalg.svd(x-mean, full_matrices=False)
    v = v[:COMPONENTS]/(s[:COMPONENTS,None]/N**.5) # scores of unit variance
    scores = (x-mean)@v.T
    a = _products(scores, PRODUCTS)
    weights = np.linalg.solve(a.T@a+1e-5*N*np.eye(a.shape[1]), a.T@y)
    print(f'{N} stars; what the regression leaves of the logarithm of the level on each chip: {((y-a@weights)[:,::DEG+1].std(0)*100).round(3)} per cent')
    np.savez_compressed(OUT, pixels=pixels.astype(np.int16), mean=mean.astype(np.float16), components=v.astype(np.float16), low=scores.min(0), high=scores.max(0), weights=weights, products=PRODUCTS)
    print(f'{OUT.name}: {OUT.stat().st_size/1e6:.2f} MB')

if __name__=='__main__': build()
