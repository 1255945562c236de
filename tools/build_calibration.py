"""Build `calibration.npz`: what real stars absorb more than the models, pixel by pixel.

    python tools/build_calibration.py [../shared/data/real]

Two models that others learned from real spectra are drawn at the labels of real stars: *The Cannon* of 1,801 giants of
DR10 (Ness et al. 2015; `giants_cannon_dr10.npz`, from the BSD-3 repository jobovy/apogee), and a network of dwarfs
(El-Badry et al. 2018; `dwarfs_network.npz`, from the MIT package binspec). The difference of their logarithms from those
of the package's models, less a polynomial of degree 4 on each detector, is fitted by ridge regression on 25 terms in
the four labels. FITTED of the giants are fitted, the others held out; which is kept in the file. Neither Arcturus nor
any single spectrum enters.
"""
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from stellar_gen.data.core import APOGEE, CHIPS
from stellar_gen.simulate.calibration import label_terms, usual_flux
from stellar_gen.simulate.stars import _ON_GRID, ALPHA_ELEMENTS, MANGANESE_SLOPE, STAR_TYPES, in_grid

OUT = Path(__file__).parent.parent/'stellar_gen'/'assets'/'calibration.npz'
PIVOT = np.array([4750., 2.5, -.1, .08])   # K, dex, dex, dex: the middle of the giants
SCALE = np.array([1000., 1.2, .4, .1])     # the same: about two standard deviations
FITTED = 900        # giants, of 1,801
DWARFS = 1500       # labels at which the network of dwarfs is drawn
HELD_DWARFS = 500   # of them, that only test
RIDGE = 3e-4        # of the regression, per star
HULL = 400          # points that cover the labels
DEGREE = 4          # of the continuum of a detector
LOWEST_FLUX = .02   # of the continuum: the logarithm stays finite
NETWORK_TURBULENCE = 5.  # km/s: the turbulence of the network's dwarfs at which it is as sharp as the models
LABELS = ['teff', 'logg', 'fe_h', 'alpha_m']


def cannon_giants(cannon, labels):
    "Normalized flux (N,7214) of real giants of labels (N,4)"
    offset = labels - cannon['baseline']
    first, second = np.triu_indices(4)
    terms = np.concatenate([np.ones((len(offset), 1)), offset, offset[:, first]*offset[:, second]], 1)
    return terms @ cannon['coefficients']


def network_dwarfs(network, labels):
    "Normalized flux (N,7214) of real dwarfs of labels (N,4)"
    full = np.column_stack([labels, np.full(len(labels), NETWORK_TURBULENCE)])
    scaled = (full - network['x_min']) / (network['x_max'] - network['x_min']) - .5
    flux = []
    for one in scaled:
        hidden = 1 / (1 + np.exp(-(network['w_array_0'] @ one + network['b_array_0'])))
        flux.append((network['w_array_1']*hidden).sum(1) + network['b_array_1'])
    return np.stack(flux)


def main_sequence(rng):
    "Labels (DWARFS,4) within the network's range"
    teff = rng.uniform(4220, 6950, DWARFS)
    logg = (4.62 - .2*(teff - 4500)/1500 + rng.normal(0, .12, DWARFS)).clip(4.02, 4.95)
    fe_h = rng.uniform(-.75, .35, DWARFS)
    alpha_m = (.05 - .2*fe_h + rng.normal(0, .08, DWARFS)).clip(-.25, .45)
    return np.stack([teff, logg, fe_h, alpha_m], 1)


def as_labels(four, kind):
    "A table of labels (N,4), with the abundances that the simulator gives this type of star"
    table = pd.DataFrame(four, columns=LABELS)
    table = table.assign(**{f'{element.lower()}_fe': table.alpha_m for element in ALPHA_ELEMENTS})
    table['mn_fe'] = MANGANESE_SLOPE*table.fe_h
    return table.assign(c_fe=STAR_TYPES[kind].c_fe, n_fe=STAR_TYPES[kind].n_fe)


def depth_of_models(table, pixels):
    "Minus the logarithm of the flux of the models (N,7214)"
    parts = [usual_flux(table[i:i + 128])[:, _ON_GRID][:, pixels] for i in range(0, len(table), 128)]
    return depth(np.concatenate(parts))


def depth(flux):
    "Minus the logarithm of flux"
    return -np.log(flux.clip(LOWEST_FLUX))


def continua(pixels):
    "For each detector its pixels among the 7,214, and orthonormal polynomials on them (n,DEGREE+1)"
    for chip in CHIPS.values():
        here = np.flatnonzero((pixels >= chip.start) & (pixels < chip.stop))
        x = np.linspace(-1, 1, len(here))
        yield here, np.linalg.qr(np.polynomial.chebyshev.chebvander(x, DEGREE))[0]


def without_continuum(values, pixels):
    "Values (N,7214) less a polynomial on each detector"
    values = values.copy()
    for here, basis in continua(pixels):
        values[:, here] -= (values[:, here] @ basis) @ basis.T
    return values


def rms(difference, pixels):
    "Root mean square on each detector, without a continuum"
    left = without_continuum(difference, pixels)
    return [float(np.sqrt((left[:, here]**2).mean()).round(4)) for here, _ in continua(pixels)]


def build(folder):
    "Fit the correction, say how it does on labels that were held out, and write it"
    cannon, network = (dict(np.load(folder/name)) for name in ('giants_cannon_dr10.npz', 'dwarfs_network.npz'))
    pixels = cannon['pixels']
    rng = np.random.default_rng(2)
    fitted = np.zeros(len(cannon['labels']), bool)
    fitted[rng.permutation(len(fitted))[:FITTED]] = True

    sets = {}
    inside = in_grid(as_labels(cannon['labels'], 'giant'))
    giants = as_labels(cannon['labels'], 'giant')
    dwarfs = as_labels(main_sequence(rng), 'dwarf')
    held_dwarf = np.arange(DWARFS) >= DWARFS - HELD_DWARFS
    for name, table, draw, model, held in (
        ('giants', giants[inside], cannon_giants, cannon, ~fitted[inside]),
        ('dwarfs', dwarfs, network_dwarfs, network, held_dwarf),
    ):
        table = table.reset_index(drop=True)
        sets[name] = table, depth_of_models(table, pixels), depth(draw(model, table[LABELS].to_numpy(float))), held

    scaled = np.concatenate([(table[LABELS].to_numpy(float)[~held] - PIVOT)/SCALE for table, *_, held in sets.values()])
    missing = [without_continuum((real - model)[~held], pixels) for _, model, real, held in sets.values()]
    missing = np.concatenate(missing)
    terms = label_terms(scaled)
    penalty = RIDGE*len(terms)*np.eye(terms.shape[1])
    coefficients = np.linalg.solve(terms.T @ terms + penalty, terms.T @ missing)

    for name, (table, model, real, held) in sets.items():
        added = label_terms((table[LABELS].to_numpy(float)[held] - PIVOT)/SCALE) @ coefficients
        before, after = (np.exp(-drawn) - np.exp(-real[held]) for drawn in (model[held], model[held] + added))
        print(f'{held.sum()} {name} of labels that were held out: rms by detector {rms(before, pixels)} before, '
              f'{rms(after, pixels)} after')

    table, model, _, held = sets['giants']
    added = label_terms((table[LABELS].to_numpy(float) - PIVOT)/SCALE) @ coefficients
    usual = 1 - np.exp(-(model + added)[~held]).mean(0)
    everywhere = np.arange(len(APOGEE))
    on_grid = np.zeros((terms.shape[1], len(APOGEE)))
    on_grid[:, pixels] = coefficients
    scatter = np.full(len(APOGEE), np.median(cannon['scatter']))
    scatter[pixels] = cannon['scatter']
    np.savez_compressed(
        OUT,
        coefficients=on_grid.astype(np.float16),
        pivot=PIVOT,
        scale=SCALE,
        hull=KMeans(HULL, n_init=1, random_state=0).fit(scaled).cluster_centers_.astype(np.float32),
        scatter=scatter.astype(np.float16),
        depth=np.interp(everywhere, pixels, usual).astype(np.float16),
        fitted=fitted,
    )
    print(f'{OUT.name}: {OUT.stat().st_size/1e6:.2f} MB')


if __name__ == '__main__':
    build(Path(sys.argv[1] if len(sys.argv) > 1 else '../shared/data/real'))
