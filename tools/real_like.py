"""Stars like real ones, drawn by models of real spectra: *The Cannon*'s giants and a network's dwarfs.

`tools/build_calibration.py` says where the two models come from. Their labels are those of the half of the giants that
the calibration was fitted to, so that the other half stays for tests.
"""
from pathlib import Path

import numpy as np
import pandas as pd

from build_calibration import LABELS, as_labels, cannon_giants, main_sequence, network_dwarfs
from stellar_gen.data.core import CHIPS, Spectra, concat
from stellar_gen.instrument import shift_and_blur
from stellar_gen.simulate.calibration import calibration, synthesize, with_real_scatter
from stellar_gen.simulate.stars import in_grid, sample_labels
from stellar_gen.simulate.survey import observe

NUISANCES = ['rv', 'vhelio', 'v_obs', 'visits', 'persistence', 'afterglow', 'snr']  # columns of the simulator that the models do not know
GIANTS = .6     # share of the giants
FIRST_SEED = 9  # of a star's own random numbers, so that they differ from those of simulated stars
PART = 512      # stars at a time
ELSEWHERE = .5  # share of the stars that are recorded as other reductions would
UNEQUAL = .3    # of ln S/N, by which detectors differ in these, at most
FAINTEST = 1e-9  # of the largest inverse variance: what lies below says nothing
TRIMMED = 80    # pixels that each end of a detector loses in these, at most
DARK = .06      # share of the stars that lack a detector, so that each of three has enough to be compared with


def real_labels(cannon, kind: str, n: int, seed: int) -> pd.DataFrame:
    "Labels of `n` giants of the fitted half, or of dwarfs of the main sequence"
    rng = np.random.default_rng([seed, FIRST_SEED])
    if kind == 'giant':
        pool = cannon['labels'][calibration().fitted]
        pool = pool[in_grid(as_labels(pool, kind))]
    else:
        pool = main_sequence(rng)
    return as_labels(pool[rng.integers(0, len(pool), n)], kind)


def real_flux(models, table: pd.DataFrame, kind: str) -> np.ndarray:
    "Flux over the continuum (N,8575): as learned from real spectra where that is known, as simulated elsewhere"
    cannon, network = models
    four = table[LABELS].to_numpy(float)
    flux = synthesize(table)
    flux[:, cannon['pixels']] = cannon_giants(cannon, four) if kind == 'giant' else network_dwarfs(network, four)
    return flux


def elsewhere(spectra: Spectra, seed: int) -> Spectra:
    "Spectra of which some have detectors that are about equally deep, and lack the ends of the detectors"
    rng = np.random.default_rng([seed, FIRST_SEED, 1])
    flux, ivar = spectra.flux.copy(), spectra.ivar.copy()
    chips = list(CHIPS.values())
    for star in np.flatnonzero(rng.random(len(spectra)) < ELSEWHERE):
        seen = ivar[star] > FAINTEST * ivar[star].max()
        known = np.where(seen, flux[star] * np.sqrt(ivar[star]), np.nan)
        snr = np.array([np.nanmedian(known[pixels]) for pixels in chips])
        wanted = np.exp(rng.uniform(-UNEQUAL, UNEQUAL, len(chips)))
        times = snr / wanted / (snr / wanted).min()                  # errors that grow, and none that shrinks
        error = np.where(seen, np.where(seen, ivar[star], 1)**-.5, 0)
        for pixels, more in zip(chips, times):
            noise = error[pixels] * rng.standard_normal(pixels.stop - pixels.start)
            flux[star, pixels] += np.sqrt(more**2 - 1) * noise
            ivar[star, pixels] /= more**2
            left, right = rng.integers(0, TRIMMED, 2)
            ivar[star, pixels.start:pixels.start + left] = 0
            ivar[star, pixels.stop - right:pixels.stop] = 0
    return spectra.replace(flux=flux, ivar=ivar)


def some_dark(spectra: Spectra, seed: int) -> Spectra:
    "Spectra of which some lack a detector"
    rng = np.random.default_rng([seed, FIRST_SEED, 2])
    ivar = spectra.ivar.copy()
    detectors = list(CHIPS.values())
    for star in np.flatnonzero(rng.random(len(spectra)) < DARK):
        ivar[star, detectors[rng.integers(len(detectors))]] = 0
    return spectra.replace(ivar=ivar)


def recorded(flux: np.ndarray, table: pd.DataFrame, seed: int, first: int, clean: float) -> Spectra:
    "Spectra of which a share has nothing but the noise that its error bars claim: no persistence, sky or spikes"
    rng = np.random.default_rng([seed, first, FIRST_SEED, 1])
    rows = np.flatnonzero(rng.random(len(table)) < clean)
    afterglow = table.afterglow.where(~table.index.isin(rows), 0)
    spectra, light = observe(flux, table.assign(afterglow=afterglow), seed, first, clean=True)
    known = spectra.ivar[rows] > 0
    error = np.where(known, np.where(known, spectra.ivar[rows], 1)**-.5, 0)
    out = spectra.flux.copy()
    out[rows] = np.where(known, light[rows] + error*rng.standard_normal(error.shape), out[rows])
    return spectra.replace(flux=out)


def real_like(folder: Path, n: int, seed: int, clean: float = 0.) -> Spectra:
    "Recorded spectra of `n` stars: giants, then dwarfs; `meta` holds `teff`, `logg`, `fe_h`, `alpha_m` and `kind`"
    models = [dict(np.load(folder/name)) for name in ('giants_cannon_dr10.npz', 'dwarfs_network.npz')]
    giants = round(GIANTS*n)
    parts, first = [], 0
    for kind, number in (('giant', giants), ('dwarf', n - giants)):
        table = real_labels(models[0], kind, number, seed)
        drawn = sample_labels(number, seed, {kind: 1}, first)
        table = table[LABELS].assign(kind=kind, unclaimed=0., **drawn[NUISANCES])
        for start in range(0, number, PART):
            some = table[start:start + PART].reset_index(drop=True)
            flux = real_flux(models, some, kind)
            flux = with_real_scatter(flux, some, [[seed, first + start + i, FIRST_SEED] for i in range(len(some))])
            flux = shift_and_blur(flux, rv=some.rv.to_numpy(float))
            parts.append(recorded(flux, some, seed, first + start, clean))
        first += number
    spectra = concat(parts)
    names = [f'REAL{seed}-{i:06d}' for i in range(len(spectra))]
    return spectra.replace(meta=spectra.meta.assign(apogee_id=names))
