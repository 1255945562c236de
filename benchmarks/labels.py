"""How well labels are learned from a hundred, a thousand and ten thousand stars.

    python benchmarks/labels.py [--data FOLDER] [--pool 10000] [--model apogee-16]

The test stars are simulated giants and dwarfs, and with `--data` (the folder that `tools/build_calibration.py` takes)
also stars like real ones. Compared are what `learn_labels` gives, the same from latents alone, and ridge regression on
all pixels, whose strength is chosen by a fifth of the stars. Errors are root mean squares; pulls are differences over
stated errors, of which 68.3 % should be below one. With `--shift` the catalog has other zero points than a model that
has learned simulated stars, and two ways to take them from few stars are compared.
"""
import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from stellar_gen.classify.catalog import shift_labels
from stellar_gen.classify.labels import (
    classify,
    label_inputs,
    label_targets,
    learn_labels,
    learn_labels_from,
    transform_of,
)
from stellar_gen.model import load_model, prepared
from stellar_gen.simulate import simulate

NAMES = ['teff', 'logg', 'fe_h', 'alpha_m']
MIX = dict(giant=60, dwarf=40)
STRENGTHS = 10.**np.arange(-2, 5)  # of ridge regression
WITHIN = .683                      # of the pulls, should be below one
SEED = 500                         # of the stars, which no model has seen
FEW = [60, 100, 200, 400]          # stars with labels, where zero points compete with learning anew
SIMULATED = 2500                   # stars that the model has learned from before


def figures(way, n, found, error, true):
    "Errors and pulls of labels (N,4)"
    off = found - true
    row = dict(stars=n, way=way)
    row |= {name: np.sqrt(np.nanmean(off[:, k]**2)) for k, name in enumerate(NAMES)}
    if error is not None:
        pull = np.abs(off / error)
        row |= {f'pull {name}': np.nanquantile(pull[:, k], WITHIN) for k, name in enumerate(NAMES)}
    return row


def read(model, test, true, way, n):
    "Figures of a model that has learned labels"
    table = classify(model, test, abstain=False)
    return figures(way, n, table[NAMES].to_numpy(), table[[f'e_{name}' for name in NAMES]].to_numpy(), true)


def pixels(model, spectra):
    "Prepared flux (N,P), 1 where there is no information"
    return np.concatenate([np.where(part.spectra.ivar > 0, part.spectra.flux, 1) for part in prepared(model, spectra)])


def ridge(x, y, x_test):
    "Labels of test stars by ridge regression, its strength chosen by a fifth of the stars"
    middle, fifth = x.mean(0), len(x) // 5
    x, x_test = x - middle, x_test - middle
    fits = [Ridge(strength).fit(x[fifth:], y[fifth:]) for strength in STRENGTHS]
    off = np.array([((fit.predict(x[:fifth]) - y[:fifth])**2).mean(0) for fit in fits])  # (strengths,4)
    chosen = STRENGTHS[off.argmin(0)]                                                     # of each label
    read = {strength: Ridge(strength).fit(x, y).predict(x_test) for strength in set(chosen)}
    return np.stack([read[strength][:, k] for k, strength in enumerate(chosen)], 1)


def back(y):
    "Labels (N,4) of what is learned"
    return np.stack([transform_of(name).back(y[:, k]) for k, name in enumerate(NAMES)], 1)


def ladder(args, pool, test):
    "All ways, with more and more stars"
    true = test.meta[NAMES].to_numpy(float)
    base = load_model(args.model)
    x_test = pixels(base, test)
    rows = []
    for n in (100, 1000, args.pool):
        some = pool[np.sort(np.random.default_rng(0).permutation(len(pool))[:n])]
        start = time.perf_counter()
        rows.append(read(learn_labels(load_model(args.model), some, NAMES), test, true, 'drawn and left', n))
        rows[-1]['s'] = time.perf_counter() - start
        latents = learn_labels_from(load_model(args.model), label_inputs(base, some, []), NAMES)
        rows.append(read(latents, test, true, 'latents', n))
        y = label_targets(some.meta, NAMES)
        rows.append(figures('pixels, ridge', n, back(ridge(pixels(base, some), y, x_test)), None, true))
        print(pd.DataFrame(rows[-3:]).round(4).to_string(index=False, header=n == 100), flush=True)


def zero_points(args, simulated, pool, test):
    "A model that has learned simulated stars, on stars like real ones: zero points, or all labels learned anew"
    true = test.meta[NAMES].to_numpy(float)
    learned = learn_labels(load_model(args.model), simulated, NAMES)
    rows = [read(learned, test, true, 'as it is', 0)]
    for n in FEW:
        some = pool[np.sort(np.random.default_rng(1).permutation(len(pool))[:n])]
        shifted = replace(learned, labeller=dict(learned.labeller), info=dict(learned.info))
        shift_labels(shifted, some, label_inputs(shifted, some))
        rows.append(read(shifted, test, true, 'zero points', n))
        rows.append(read(learn_labels(load_model(args.model), some, NAMES), test, true, 'learned anew', n))
    print(pd.DataFrame(rows).round(4).to_string(index=False), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path)
    parser.add_argument('--pool', type=int, default=10_000)
    parser.add_argument('--test', type=int, default=1000)
    parser.add_argument('--model', default='apogee-16')
    parser.add_argument('--shift', action='store_true')
    args = parser.parse_args()
    makers = {'simulated giants and dwarfs': lambda n, seed: simulate(n, seed, mix=MIX)}
    if args.data:
        sys.path.insert(0, str(Path(__file__).parent.parent / 'tools'))
        from real_like import real_like
        makers['giants and dwarfs like real ones'] = lambda n, seed: real_like(args.data, n, seed)
    if args.shift:
        simulated, real = makers.values()
        zero_points(args, simulated(SIMULATED, SEED), real(max(FEW) * 2, SEED + 1), real(args.test, SEED + 2))
        return
    for title, make in makers.items():
        print(f'\n{title}', flush=True)
        ladder(args, make(args.pool, SEED), make(args.test, SEED + 1))


if __name__ == '__main__':
    main()
