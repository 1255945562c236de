"""Whether a classifier can tell the residuals of real visits from those of simulated ones; 0.5: it cannot.

    python benchmarks/residuals.py [../shared/data/real]

A residual is the difference of two visits of one star over its claimed error, scaled, moved and blurred to each other.
Each real star is simulated with as many visits at the same S/N and velocities. The classifier sees the width, the
tails and the correlations of stretches of 128 pixels, and is tested on stars that it was not trained on.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

sys.path.insert(0, str(Path(__file__).parent.parent/'tools'))
from build_instrument import (
    CHANGING,
    REAL,
    SKY,
    TELLURIC,
    Visits,
    difference,
    observed_frame,
    pairs,
    read_visits,
    robust,
)
from stellar_gen.data import APOGEE, BAD_PIXELS, CHIPS
from stellar_gen.instrument import PIXEL_KMS
from stellar_gen.simulate import observe, sample_labels, synthesize

STRETCH = 128               # pixels of a stretch
FEWEST = 64                 # of them with information
LAGS = (1, 2, 3, 4, 8)      # pixels, of the correlations
LARGEST = 5                 # widths, at which residuals are clipped
GIANTS = {'2M00005143+5615568': dict(teff=4500., logg=2.5, fe_h=-.2)}
DWARF = dict(teff=3500., logg=4.9, fe_h=-.1)   # the others: the coolest dwarf that the models have
NO_ERROR = 1e10


def simulated(visits, seed):
    "The same stars, at the same S/N and velocities"
    rows = np.flatnonzero(~np.isin(visits.star, list(CHANGING)))
    labels = sample_labels(len(rows), seed)
    for name in ('teff', 'logg', 'fe_h'):
        labels[name] = [GIANTS.get(star, DWARF)[name] for star in visits.star[rows]]
    shared = labels.groupby(visits.star[rows]).transform('first')          # of all visits of a star
    own = ['persistence', *(name for name in labels if name.startswith('resolution'))]
    labels = shared.assign(**labels[own], rv=0., snr=visits.snr[rows], v_obs=visits.shift[rows] * PIXEL_KMS, visits=1)
    seen = observe(synthesize(labels), labels, seed)
    err = np.where(seen.ivar > 0, 1 / np.sqrt(np.where(seen.ivar > 0, seen.ivar, 1)), NO_ERROR)
    flux = np.where(APOGEE.lit, seen.flux, 0).astype(float)
    return Visits(flux, err.astype(float), seen.bitmask, visits.star[rows], visits.snr[rows], visits.shift[rows])


def features(pull):
    "What a stretch of residuals is like"
    known = np.isfinite(pull)
    values = pull[known]
    width = robust(values)
    scaled = np.where(known, np.clip(pull / width, -LARGEST, LARGEST), 0)
    correlations = []
    for lag in LAGS:
        both = (known[:-lag] & known[lag:]).sum()
        correlations.append((scaled[:-lag] * scaled[lag:]).sum() / max(both, 1))
    return [width, values.std() / width, np.abs(values).max() / width, np.mean(scaled**3), *correlations]


def stretches(visits, bad):
    "Features of all stretches, and their stars"
    rows, stars = [], []
    for i, j in pairs(visits):
        pull = difference(visits, i, j)
        pull[((visits.bits[i] | visits.bits[j]) & bad) > 0] = np.nan
        for chip in CHIPS.values():
            for start in range(chip.start, chip.stop - STRETCH, STRETCH):
                part = pull[start:start + STRETCH]
                if np.isfinite(part).sum() >= FEWEST:
                    rows.append(features(part))
                    stars.append(visits.star[i])
    return np.array(rows), np.array(stars)


def area(real, fake):
    "Area under the curve of a classifier of real and simulated stretches, on stars it was not trained on"
    x, stars = (np.concatenate(both) for both in zip(real, fake))
    is_real = np.repeat([1, 0], [len(real[0]), len(fake[0])])
    score = np.zeros(len(x))
    for train, test in GroupKFold(5).split(x, is_real, stars):
        model = HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=15, random_state=0)
        score[test] = model.fit(x[train], is_real[train]).predict_proba(x[test])[:, 1]
    return roc_auc_score(is_real, score)


def main():
    "Print the areas"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('real', nargs='?', type=Path, default=REAL)
    folder = parser.parse_args().real
    visits = read_visits(folder, observed_frame(folder)[2])
    fake = simulated(visits, 71)
    print(f'{len(fake.flux)} visits of {len(np.unique(fake.star))} stars')
    names = 'width tails largest skewness'.split() + [f'correlation {lag}' for lag in LAGS]
    masks = {'plain pixels': int(BAD_PIXELS) | TELLURIC, 'pixels that a network sees': int(BAD_PIXELS),
             'all with information': int(BAD_PIXELS) & ~SKY}
    for name, bad in masks.items():
        real, simulated_ones = stretches(visits, bad), stretches(fake, bad)
        n_real, n_simulated = len(real[0]), len(simulated_ones[0])
        print(f'{name}: area {area(real, simulated_ones):.3f} of {n_real} and {n_simulated} stretches')
        medians = dict(real=np.median(real[0], 0), simulated=np.median(simulated_ones[0], 0))
        print(pd.DataFrame(medians, names).T.round(2))


if __name__ == '__main__':
    main()
