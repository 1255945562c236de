"""Normalizing, shifting and resampling, side by side with what one would use instead. One run, one table.

    python benchmarks/preprocess.py [--n 5000]

The peers see the first of the spectra only (they are slow); rates are per spectrum. Bias is that of the continuum
that was found over the true one, in per cent: the median over a star's pixels, then the largest over types of star of
the median over stars. The last part prepares stores of growing size, each in a process of its own.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from astropy import units
from numpy.polynomial import Chebyshev

from stellar_gen.data import APOGEE_WAVE, C_KMS, CHIPS, SpectraStore
from stellar_gen.preprocess import (
    METHODS,
    continuum_normalize,
    continuum_pixels,
    doppler_shift,
    mask_bad,
    preprocess_store,
    resample,
)
from stellar_gen.simulate import observe, sample_labels, simulate_store, synthesize

SEED = 31
SNR = 100.
DEGREE = 4                  # of the polynomial on each detector
LOOPED = 300                # spectra that NumPy and astroNN normalize
FITTED = 60                 # spectra that specutils normalizes
SHIFTED = 200               # spectra that are shifted
RESAMPLED = 20              # of them, by specutils
VELOCITY = -10.             # km/s, by which they are shifted
MARGIN = 10                 # pixels at both ends that are not resampled
EDGE = slice(100, -100)     # pixels that are compared, of those
NO_ERROR = 1e10             # error bar where nothing is known
STORES = 5000, 20_000, 50_000  # spectra
BLOCK = 1000                # of them, written at a time


def peak_mib():
    "Peak memory of this process since it began; getrusage has also that of the process it was forked from"
    status = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in status if line.startswith('VmHWM')).split()[1]) / 1024


def clock(work, *args):
    "What a function returns, and seconds"
    start = time.perf_counter()
    found = work(*args)
    return found, time.perf_counter() - start


# -------------------------------------------------------------------------------------------------------- normalizing
def numpy_loop(flux, ivar):
    "The same fit of the same pixels, star by star and detector by detector"
    out, pixels = np.ones_like(flux), continuum_pixels()
    for row in range(len(flux)):
        for chip in CHIPS.values():
            used = pixels[(pixels >= chip.start) & (pixels < chip.stop)]
            used = used[ivar[row, used] > 0]
            along = np.linspace(-1, 1, chip.stop - chip.start)
            fit = Chebyshev.fit(along[used - chip.start], flux[row, used], DEGREE, domain=[-1, 1],
                                w=np.sqrt(ivar[row, used]))
            out[row, chip] = flux[row, chip] / fit(along)
    return out


def specutils_fit(flux, ivar):
    "specutils.fitting.fit_continuum with its defaults (a median filter and a Chebyshev polynomial), on each detector"
    from specutils import Spectrum
    from specutils.fitting import fit_continuum
    out = np.ones_like(flux)
    for row in range(len(flux)):
        for chip in CHIPS.values():
            known, wave = ivar[row, chip] > 0, APOGEE_WAVE[chip]
            filled = np.interp(wave, wave[known], flux[row, chip][known])
            spectrum = Spectrum(flux=filled * units.dimensionless_unscaled, spectral_axis=wave * units.AA)
            out[row, chip] = filled / fit_continuum(spectrum)(wave * units.AA).value
    return out


ASTRONN = '''
import sys
import time
import numpy as np
from astroNN.apogee import apogee_continuum
given = np.load(sys.argv[1])
start = time.perf_counter()
flux, _ = apogee_continuum(given['flux'], given['err'], dr=17)
print(time.perf_counter() - start)
np.save(sys.argv[2], flux)
'''
ASTRONN_NEEDS = 'torch==2.13.0', 'keras', 'astroNN', 'setuptools<81'


def astronn_python():
    "An interpreter that has astroNN, in an environment of its own, since it cannot live beside this package's"
    folder = Path(__file__).parents[1] / '.venv-peers'
    python = folder / 'bin' / 'python'
    if not python.exists():
        subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
        subprocess.run([python, '-m', 'pip', 'install', '-q', *ASTRONN_NEEDS], check=True)
    return python


def astronn(flux, ivar):
    "astroNN's apogee_continuum, and its seconds"
    known = ivar > 0
    err = np.where(known, 1 / np.sqrt(np.where(known, ivar, 1)), NO_ERROR)
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / 'in.npz', Path(folder) / 'out.npy'
        np.savez(given, flux=np.where(known, flux, 0), err=err)
        command = [astronn_python(), '-W', 'ignore', '-c', ASTRONN, given, made]
        run = subprocess.run(command, capture_output=True, text=True, check=True,
                             env=os.environ | dict(KERAS_BACKEND='torch'))
        normalized = np.load(made)  # of the pixels of the detectors
    lit = np.concatenate([np.arange(chip.start, chip.stop) for chip in CHIPS.values()])
    if normalized.shape[1] != len(lit):
        sys.exit(f'astroNN gives {normalized.shape[1]} pixels')
    out = np.ones_like(flux)
    out[:, lit] = normalized
    return out, float(run.stdout.split()[-1])


class Stars(NamedTuple):
    "Simulated stars, and what is true of them"
    labels: pd.DataFrame
    light: np.ndarray       # (N,P), over the continuum
    flux: np.ndarray        # (N,P), observed
    ivar: np.ndarray
    continuum: np.ndarray   # (N,P), the true one


def simulated(n):
    labels = sample_labels(n, seed=SEED).assign(snr=SNR, persistence=0., afterglow=0.)
    light = synthesize(labels)
    seen, clean = observe(light, labels, SEED, clean=True)
    return Stars(labels, light, seen.flux, mask_bad(seen.ivar, seen.bitmask), clean / light)


def types_of(labels):
    "A letter for each star: hot, M, G and F dwarfs, giants that are cold, cool and warm"
    dwarf = labels.kind == 'dwarf'
    conditions = {
        'h': labels.kind == 'hot',
        'm': dwarf & (labels.teff < 4500),
        'g': dwarf & (labels.teff < 6000),
        'f': dwarf,
        'c': labels.teff < 4200,
        'd': labels.teff < 4800,
    }
    return np.select(list(conditions.values()), list(conditions), 'w')


def bias(stars, normalized):
    "Per cent by which the continuum of the worst type of star is off"
    n = len(normalized)
    found = stars.flux[:n] / normalized
    ratio = np.where(stars.ivar[:n] > 0, found / stars.continuum[:n], np.nan)
    off = pd.Series(100 * (np.nanmedian(ratio, axis=1) - 1))
    by_type = off.groupby(types_of(stars.labels)[:n]).median()
    return by_type[by_type.abs().idxmax()]


def normalized(stars):
    "Name of each way, what it makes of the first of the stars, and its seconds"
    first = stars.flux[:LOOPED], stars.ivar[:LOOPED]
    yield 'NumPy, star by star', *clock(numpy_loop, *first)
    yield 'specutils.fitting.fit_continuum', *clock(specutils_fit, stars.flux[:FITTED], stars.ivar[:FITTED])
    yield 'astroNN apogee_continuum', *astronn(*first)
    for method in METHODS:
        (flux, _), seconds = clock(continuum_normalize, stars.flux, stars.ivar, method)
        yield f'stellar_gen, {method}', flux, seconds


def normalizing(stars):
    "Print the first table"
    print(f'{"normalize":46} {"per second":>11} {"ratio":>7} {"bias %":>7}')
    base = None
    for name, flux, seconds in normalized(stars):
        rate = len(flux) / seconds
        base = base or rate
        print(f'{name:46} {rate:11,.0f} {rate / base:7.2f} {bias(stars, flux):7.2f}', flush=True)


# ----------------------------------------------------------------------------------------------------------- shifting
INNER = slice(MARGIN, -MARGIN)


def by_specutils(resampler, flux, wave):
    "Spectra on other wavelengths"
    from specutils import Spectrum
    spectra = [Spectrum(flux=one * units.Jy, spectral_axis=APOGEE_WAVE * units.AA) for one in flux]
    return np.stack([resampler(spectrum, wave * units.AA).flux.value for spectrum in spectra])


def shifted(flux):
    "Name of each way, the first of the spectra as it shifts them (n,P-20), and its seconds"
    from specutils.manipulation import FluxConservingResampler, LinearInterpolatedResampler
    wave, weight = APOGEE_WAVE[INNER] * (1 - VELOCITY / C_KMS), np.ones_like(flux)
    for resampler in (FluxConservingResampler, LinearInterpolatedResampler):
        yield f'specutils {resampler.__name__}', *clock(by_specutils, resampler(), flux[:RESAMPLED], wave)
    for how in ('flux', 'lanczos'):
        (moved, _), seconds = clock(resample, APOGEE_WAVE, flux, weight, wave, how)
        yield f'stellar_gen resample, {how}', moved, seconds
    (moved, _), seconds = clock(doppler_shift, flux, weight, VELOCITY)
    yield 'stellar_gen doppler_shift', moved[:, INNER], seconds


def shifting(stars):
    "Print the second table: spectra that were shifted, beside the same stars moved in Fourier space"
    labels = stars.labels[:SHIFTED]
    wanted = synthesize(labels.assign(rv=labels.rv + VELOCITY))[:, INNER]
    print(f'{"shift and resample":46} {"per second":>11} {"ratio":>7} {"rms error":>10}')
    base = None
    for name, moved, seconds in shifted(stars.light[:SHIFTED].astype(float)):
        rate = len(moved) / seconds
        base = base or rate
        rms = np.sqrt(((moved - wanted[:len(moved)])[:, EDGE]**2).mean())
        print(f'{name:46} {rate:11,.0f} {rate / base:7.2f} {rms:10.1e}', flush=True)


# ------------------------------------------------------------------------------------------------------- whole stores
def prepare(path):
    "In this process: print spectra of a store, spectra per second, and MiB"
    store, seconds = clock(lambda: preprocess_store(path, f'{path}.ready', quiet=True))
    print(len(store), len(store) / seconds, peak_mib())


def again(path, first, n):
    "A store of `n` spectra, those of the first again and again"
    store = SpectraStore.create(path)
    for start in range(0, n, BLOCK):
        row = start % len(first)
        store.append(first[row:row + BLOCK])


def preparing(folder):
    "Print the third table"
    print(f'{"preprocess_store":>20} {"per second":>11} {"peak MiB":>9}')
    first = simulate_store(folder / 'first', STORES[0], quiet=True)
    for n in STORES:
        path = folder / f'stars {n}'
        again(path, first, n)
        command = [sys.executable, '-W', 'ignore', __file__, '--store', path]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        number, rate, peak = printed.split()
        print(f'{int(number):20,} {float(rate):11,.0f} {float(peak):9,.0f}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--n', type=int, default=5000)
    parser.add_argument('--store', help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter('ignore')
    if given.store:
        prepare(given.store)
        return
    stars = simulated(given.n)
    normalizing(stars)
    shifting(stars)
    with tempfile.TemporaryDirectory() as folder:
        preparing(Path(folder))


if __name__ == '__main__':
    main()
