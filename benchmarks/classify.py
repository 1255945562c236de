"""How well labels and types are read, how sure it is, and from how few labels.

    python benchmarks/classify.py [--test 6000] [--model apogee-16] [--pool 10000]

Test stars are the simulator's, with subgiants, supergiants, carbon-rich stars and fast rotators among them. Few labels:
the same small network learns from latents, from sixteen principal-component scores and from pixels (means of four, to
save memory), the same stars, the same number of steps.
"""
import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from stellar_gen.classify import (
    LABELS,
    calibration_error,
    classify,
    coverage,
    label_inputs,
    label_targets,
    labeller_of,
    learn_labels_from,
    stellar_types,
    with_c_o,
)
from stellar_gen.simulate import observe, simulate, simulate_store, true_flux
from stellar_gen.train import load_model

MIX = dict(giant=50, dwarf=25, hot=10, subgiant=10, supergiant=5)
BINS = {'20-50': (0, 50), '50-80': (50, 80), '80-125': (80, 125), 'above 125': (125, 1e4)}
LADDER = [20, 30, 50, 80, 125, 200]  # S/N at which one star is observed again
COOL = 7200                          # K, below which rotation shows
FGK = (3870, 7220)                   # K, of F, G and K stars
FEWEST = 5                           # stars, of which a share is told
BLOCK = 1000                         # stars that are prepared at a time
MEAN_OF = 4                          # pixels
COMPONENTS = 16
FEW_TEST = 1500                      # stars that labels from few stars are tested with
EPOCHS, RATE = 30, 1e-3              # of networks that learn from few stars
AS_SCATTER = 1.4826                  # of a median error, which is then that of a Gaussian


def table(rows, digits=3):
    print(pd.DataFrame(rows).round(digits).to_string(index=False), flush=True)


def by_snr(found, of):
    "Rows of each bin of S/N, of those in `of`"
    for name, (low, high) in BINS.items():
        rows = of & found.snr.between(low, high).to_numpy()
        if rows.any():
            yield name, rows


def silence(found, plain):
    "How much is withheld, of ordinary stars"
    rows = []
    for name, some in by_snr(found, plain):
        no_label = {label: found[label][some].isna().mean() for label in LABELS}
        rows.append(dict(snr=name, no_type=(found.type[some] == '').mean(), **no_label))
    print('\nShare of the ordinary stars without a type, and without each label')
    table(rows)


def errors(found, true, plain):
    "Root mean square errors of F, G and K stars, and how many labels lie within their stated errors"
    fgk = plain & true.teff.between(*FGK).to_numpy()
    print('\nF, G and K stars: root mean square errors')
    rows = []
    for name, some in by_snr(found, fgk):
        off = {label: np.sqrt(((found[label] - true[label])[some]**2).mean()) for label in LABELS}
        rows.append(dict(snr=name, stars=int(some.sum()), **off))
    table(rows)
    print('\nShare within one and two stated errors, ordinary stars')
    rows = []
    for name, some in by_snr(found, plain):
        within = {}
        for label in ('teff', 'logg', 'fe_h', 'alpha_m'):
            for n in (1, 2):
                within[f'{label} {n}e'] = coverage(found[label][some], found[f'e_{label}'][some], true[label][some], n)
        rows.append(dict(snr=name, **within))
    table(rows, 2)


def types(found, true, plain):
    "How many types are right, of the stars that have one"
    truth = stellar_types(true)
    name = (truth.spectral + ' ' + truth.luminosity).to_numpy()
    typed = (found.type != '').to_numpy()
    right = (found.type.str.split(',').str[0] == name).to_numpy()
    expected = calibration_error(found.p_type[typed], right[typed])
    print(f'\nTypes right, by S/N; expected calibration error {expected:.4f}')
    rows = []
    for kind in [*sorted(set(name[plain])), 'all']:
        some = plain & typed & ((name == kind) | (kind == 'all'))
        share = {snr: right[bin_].mean() if bin_.sum() >= FEWEST else np.nan for snr, bin_ in by_snr(found, some)}
        rows.append(dict(type=kind, **share))
    table(rows)
    print('\nCarbon-rich stars and fast rotators: how many are found (recall), how many called so are so (precision)')
    for odd in ('carbon_rich', 'fast_rotator'):
        for part, some in (('all', typed), (f'below {COOL:,} K', typed & (true.teff < COOL).to_numpy())):
            said = (found[f'p_{odd}'] > 0.5).to_numpy()[some]
            is_odd = truth[odd].to_numpy()[some]
            print(f'  {odd}, {part}: recall {said[is_odd].mean():.2f}, precision {is_odd[said].mean():.2f}')


def accuracy(model, args):
    each = args.test // 30
    strength = np.random.default_rng(301).uniform(0.1, 1.5, 2 * each)
    survey = simulate(args.test, 301, dict(carbon=each, rotation=each), strength, MIX)
    start = time.perf_counter()
    found = classify(model, survey)
    rate = len(survey) / (time.perf_counter() - start)
    true = with_c_o(survey.meta)
    plain = (survey.meta.anomaly == '').to_numpy()
    silent = found.teff.isna().to_numpy() & found.logg.isna().to_numpy()
    print(f'{len(survey):,} stars, {rate:,.0f} per second as read; '
          f'silent about {silent[plain].mean():.1%} of the ordinary ones')
    silence(found, plain)
    errors(found, true, plain & ~silent)
    types(found, true, plain)


def again(model, stars=100):
    "Median stated error of stars that are observed at one S/N after the other"
    survey = simulate(stars, 304, mix=MIX)
    flux = true_flux(survey.meta)
    rows = []
    for snr in LADDER:
        found = classify(model, observe(flux, survey.meta.assign(snr=float(snr)), 304), abstain=False)
        rows.append(dict(snr=snr, **{label: found[f'e_{label}'].median() for label in LABELS}))
    print(f'\nThe same {stars} stars observed again: median stated errors')
    table(rows)


def means(model, store):
    "Prepared flux less the continuum, means of four pixels (N,P/4)"
    parts = []
    for start in range(0, len(store), BLOCK):
        ready = model.recipe(store[start:start + BLOCK])
        flux = np.where(ready.ivar > 0, ready.flux - 1, 0)
        whole = flux.shape[1] // MEAN_OF * MEAN_OF
        parts.append(flux[:, :whole].reshape(len(ready), -1, MEAN_OF).mean(2))
    return np.concatenate(parts).astype(np.float32)


def inputs_of(model, pool, few_test):
    "What labels are learned from, by name: arrays of the pool and of the test stars; and our own inputs of both"
    with tempfile.TemporaryDirectory() as folder:
        stores = [simulate_store(Path(folder) / name, n, seed, quiet=True)
                  for name, n, seed in (('pool', pool, 302), ('test', few_test, 303))]
        latents = [label_inputs(model, store) for store in stores]
        pixels = [means(model, store) for store in stores]
    middle = pixels[0].mean(0)
    torch.manual_seed(0)
    directions = torch.svd_lowrank(torch.from_numpy(pixels[0] - middle), COMPONENTS, niter=4)[2].numpy()
    noise = [inputs.x[:, -1:] for inputs in latents]
    kinds = dict(
        latents=[inputs.x for inputs in latents],
        components=[np.hstack([(x - middle) @ directions, s]) for x, s in zip(pixels, noise)],
        pixels=[np.hstack([x, s]) for x, s in zip(pixels, noise)],
    )
    return kinds, latents


def few(model, args):
    "Median errors of labels that are read from few stars' latents, components or pixels"
    kinds, (of_pool, of_test) = inputs_of(model, args.pool, FEW_TEST)
    names = ['teff', 'logg', 'fe_h']
    true = label_targets(of_test.meta, names)
    rows = []
    for n in (100, 1000, args.pool):
        some = np.random.default_rng(0).permutation(args.pool)[:n]
        for kind, (pool, test) in kinds.items():
            inputs = of_pool.rows(some)._replace(x=pool[some])
            learned = learn_labels_from(load_model(args.model), inputs, names, EPOCHS, lr=RATE, members=1)
            mu, _ = labeller_of(learned).read(test)
            off = np.abs(mu - true)
            off[:, 0] *= of_test.meta.teff  # whose logarithm is learned
            errors = AS_SCATTER * np.median(off, 0)
            rows.append(dict(labels=n, learned_from=kind, **dict(zip(names, errors))))
    print('\nFew labels: median errors (times 1.48) of all kinds of star')
    table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--test', type=int, default=6000)
    parser.add_argument('--pool', type=int, default=10_000)
    parser.add_argument('--model', default='apogee-16')
    args = parser.parse_args()
    model = load_model(args.model)
    accuracy(model, args)
    again(model)
    few(model, args)


if __name__ == '__main__':
    main()
