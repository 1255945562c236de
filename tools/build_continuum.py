"""Build `continuum.npz`: the continuum pixels, and what the pseudo-continuum misses, learned from simulated stars.

The pseudo-continuum lies below the true one by what lines take from the "continuum" pixels, and how much that is the
spectrum itself tells: for noiseless stars of the default population (with more rare ones) the logarithm of pseudo over
true continuum, as a Chebyshev polynomial on each detector, is regressed on the principal components of the
pseudo-normalized spectrum and the products of the first of them.
"""
import sys
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev

sys.path.insert(0, str(Path(__file__).parent.parent))
from stellar_gen.data import APOGEE
from stellar_gen.preprocess import fit_continuum, select_continuum_pixels
from stellar_gen.preprocess.continuum import _DEGREE, _with_products
from stellar_gen.simulate import sample_labels, synthesize

OUT = Path(__file__).parent.parent/'stellar_gen'/'assets'/'continuum.npz'
STARS = 6000       # simulated stars that the correction is learned from
MIX = dict(giant=54, dwarf=28, hot=13, cool_dwarf=5)  # per cent of the kinds
COMPONENTS = 24    # principal components of the pseudo-normalized spectra
PRODUCTS = 10      # of these, how many enter by their products too
RIDGE = 1e-5       # of the regression, for scores of variance 1


def normalized(true, pixels):
    "Flux over the pseudo-continuum on the detectors (N,L), and the coefficients of its logarithm on each (N,3*5)"
    flux, coefficients = [], []
    for span in APOGEE.detectors.values():
        here = pixels[(pixels >= span.start) & (pixels < span.stop)] - span.start
        continuum = fit_continuum(true[:, span], np.ones_like(true[:, span]), here, _DEGREE)
        x = np.linspace(-1, 1, span.stop - span.start)
        flux.append(true[:, span] / continuum)
        coefficients.append(chebyshev.chebfit(x, np.log(continuum).T, _DEGREE).T)
    return np.concatenate(flux, 1), np.concatenate(coefficients, 1)


def principal_components(difference):
    "Components (COMPONENTS,L) whose scores have variance 1"
    _, size, vectors = np.linalg.svd(difference, full_matrices=False)
    return vectors[:COMPONENTS] / (size[:COMPONENTS, None] / len(difference)**.5)


def build():
    "Learn the correction and write it"
    pixels = select_continuum_pixels()
    true = synthesize(sample_labels(STARS, seed=99, mix=MIX)).astype(float)
    pseudo, wanted = normalized(true, pixels)
    mean = pseudo.mean(0)
    components = principal_components(pseudo - mean)
    scores = (pseudo - mean) @ components.T
    inputs = _with_products(scores, PRODUCTS)
    penalty = RIDGE * STARS * np.eye(inputs.shape[1])
    weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ wanted)
    left = 100 * (wanted - inputs @ weights)[:, ::_DEGREE + 1].std(0)
    print(f'{STARS} stars; what the regression leaves of the logarithm of the level on each detector: '
          f'{left.round(3)} per cent')
    np.savez_compressed(
        OUT,
        pixels=pixels.astype(np.int16),
        mean=mean.astype(np.float16),
        components=components.astype(np.float16),
        low=scores.min(0),
        high=scores.max(0),
        weights=weights,
        products=PRODUCTS,
    )
    print(f'{OUT.name}: {OUT.stat().st_size/1e6:.2f} MB')


if __name__ == '__main__':
    build()
