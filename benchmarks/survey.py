"""Odd stars in a survey of one's own: the packaged model as it comes and calibrated, fine-tuned and trained, and its peers.

    python benchmarks/survey.py [--data ../shared/data/real] [--normal 2000] [--each 300] [--surveys 10]
                                [--models packaged calibrated fine-tuned trained] [--seed 0]

Giants are drawn from a model that others learned of real ones (`real.py`), with labels that no fit of the package has
seen, real scatter, residual velocities of 1 km/s, ripple, residuals of sky lines and bad pixels. Ten kinds of oddity,
made of these spectra and not by the package's injections, are put into them at three strengths. Every method sees the
same 4,000 stars, twenty of them odd, or the first hundred or thousand of them. Areas under the ROC curve are of a kind
against normal stars that no method has seen; errors are of a bootstrap over stars, the same for all methods. Flagged
stars are counted in surveys of 4,000 of which 20 are odd. Nothing is written.
"""
import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from scipy.stats import kstest, rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from real import (BAD_SHARE, Learned, N_PIXELS, SNR_MEDIAN, SNR_RANGE, SNR_SPREAD, fitted_giants, responses, structure)
from stellar_gen.anomaly import score
from stellar_gen.anomaly.scoring import flag
from stellar_gen.anomaly.survey import calibrate_trained, calibrated
from stellar_gen.data import APOGEE, APOGEE_PIXMASK, APOGEE_WAVE, CHIPS, concat, Spectra
from stellar_gen.generate import generate, learn_prior
from stellar_gen.instrument import shift_and_blur
from stellar_gen.simulate import synthesize
from stellar_gen.simulate.kinds import BRACKETT
from stellar_gen.train import load_model, train_store
from stellar_gen.train.learner import spectra_dls

STRENGTHS = (.15, .3, 1.)
SAMPLE = 4000                # stars that methods may learn from
LABELS = ['teff', 'logg', 'fe_h', 'alpha_m']
JITTER = (20., .05, .02, .01)  # of labels, so that no star is drawn twice: K, dex
REST = 1.                    # km/s, scatter of the residual velocities
RIPPLE = .002                # of the continuum, amplitude
RIPPLE_PERIOD = (20, 200)    # pixels
SKY_LINES = 200              # pixels with residuals of the sky
SKY_SIZE = 4.                # of the error bar, a scatter; stars with far more than others would be odd themselves

# ---------------------------------------------------------------------------------------------------------- odd stars
Flux = np.ndarray  # (N,8575), over the continuum

def emission(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    lines = [APOGEE_WAVE.searchsorted(wave) for wave in BRACKETT.values() if APOGEE_WAVE[0] < wave < APOGEE_WAVE[-1]]
    height = .25 * strength * rng.uniform(.5, 1.5, (len(flux), 1))
    shape = np.zeros(N_PIXELS)
    shape[lines] = 1
    shape = gaussian_filter1d(shape, 5)
    return flux + height * shape / shape.max()

def binary(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    second = shift_and_blur(others, rv=rng.choice([-1, 1], len(flux)) * rng.uniform(30, 90, len(flux)))
    return flux + .4 * strength * (second - flux)

def carbon_nitrogen(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    table = pd.DataFrame(labels, columns=LABELS)
    plain, rich = synthesize(table), synthesize(table.assign(c_fe=.4, n_fe=.6))
    return flux * (rich / plain)**strength

def swapped(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    out = flux.copy()
    for row, name in enumerate(rng.choice(list(CHIPS), len(flux))):
        out[row, CHIPS[name]] += strength * (others[row, CHIPS[name]] - flux[row, CHIPS[name]])
    return out

def telluric(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    pattern = np.random.default_rng(77).exponential(1, N_PIXELS) * (np.random.default_rng(78).random(N_PIXELS) < .03)
    return flux * (1 + .08 * strength * rng.normal(size=(len(flux), 1)) * gaussian_filter1d(pattern, 1.2))

def hot(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    return flux + .3 * strength * (1 - flux)

def rotating(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    return shift_and_blur(flux, vsini=np.full(len(flux), 25. * strength))

def moved(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    return shift_and_blur(flux, rv=rng.choice([-1, 1], len(flux)) * 20. * strength)

def step(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    out = flux.copy()
    for row, name in enumerate(rng.choice(list(CHIPS), len(flux))):
        pixels = CHIPS[name]
        at = rng.integers(pixels.start + 300, pixels.stop - 300)
        out[row, at:pixels.stop] *= 1 + .06 * strength
    return out

def cosmic(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    out = flux.copy()
    for row in range(len(flux)):
        at = rng.integers(100, N_PIXELS - 100, 2)
        out[row, np.r_[at, at + 1]] += strength * rng.uniform(.3, .6)
    return out

ODD: dict[str, Callable] = dict(
    emission=emission, binary=binary, carbon_nitrogen=carbon_nitrogen, swapped=swapped, telluric=telluric,
    cosmic=cosmic, hot=hot, rotating=rotating, moved=moved, step=step)

# ------------------------------------------------------------------------------------------------------------- surveys
def record(learned: Learned, flux: Flux, rng) -> Spectra:
    "Spectra as a survey delivers them"
    n, pixels = len(flux), learned.pixels
    flux = flux + structure(n, rng) * spread(learned.scatter, pixels)
    flux = shift_and_blur(flux, rv=rng.normal(0, REST, n))
    period = np.exp(rng.uniform(*np.log(RIPPLE_PERIOD), (n, 1)))
    flux *= 1 + RIPPLE * np.sin(2 * np.pi * (np.arange(N_PIXELS) / period + rng.random((n, 1))))
    level = responses(n, rng)
    snr = np.exp(rng.normal(np.log(SNR_MEDIAN), SNR_SPREAD, (n, 1))).clip(*SNR_RANGE)
    error = level / snr
    noise = rng.normal(size=flux.shape)
    sky = np.random.default_rng(79).choice(pixels, SKY_LINES, replace=False)
    noise[:, sky] += SKY_SIZE * rng.normal(size=(n, 1)) * rng.random((n, SKY_LINES))
    known = np.zeros(N_PIXELS, bool)
    known[pixels] = True
    good = known & (rng.random(flux.shape) > BAD_SHARE)
    recorded = np.where(good, level * flux + error * noise, 0)
    ivar = np.where(known, error**-2., 0)
    mask = np.where(good, 0, int(APOGEE_PIXMASK.BADPIX)).astype(np.int32)
    meta = pd.DataFrame(dict(apogee_id=[f'star {i}' for i in range(n)]))
    return Spectra(APOGEE, recorded.astype(np.float32), ivar.astype(np.float32), mask, meta)

def spread(values: np.ndarray, pixels: np.ndarray, elsewhere: float = 0.) -> np.ndarray:
    "Values (...,M) on all pixels (...,8575)"
    out = np.full((*values.shape[:-1], N_PIXELS), elsewhere)
    out[..., pixels] = values
    return out

def drawn(learned: Learned, n: int, rng) -> tuple[np.ndarray, Flux]:
    "Labels (n,4) and noiseless spectra of giants that no fit has seen"
    others = learned.labels[~fitted_giants(len(learned.labels))]
    labels = others[rng.integers(0, len(others), n)] + rng.normal(0, JITTER, (n, 4))
    labels = labels.clip(others.min(0), others.max(0))
    return labels, spread(learned.giants(labels), learned.pixels, 1.)

def stars(learned: Learned, n: int, seed: int, kind: str = '', strength: float = 0.) -> Spectra:
    "A survey; the stars of one seed and their noise are the same, whatever is odd about them"
    rng = np.random.default_rng(seed)
    labels, flux = drawn(learned, n, rng)
    if kind:
        own = np.random.default_rng([seed, 1])
        flux = ODD[kind](flux, strength, own, drawn(learned, n, own)[1], labels)
    recorded = record(learned, flux, np.random.default_rng([seed, 2]))
    return recorded.replace(meta=recorded.meta.assign(**dict(zip(LABELS, labels.T))))

# ------------------------------------------------------------------------------------------------------------- methods
COMPONENTS, NEAR = 16, 50
Method = Callable[[Spectra], np.ndarray]  # how odd each star is (N,)

class Components:
    "Principal components, missing pixels filled with the mean; by expectation-maximization with weights if asked"

    def __init__(self, flux: np.ndarray, ivar: np.ndarray, weighted: bool, rounds: int = 15):
        seen = ivar > 0
        self.mean = (flux * ivar).sum(0) / ivar.sum(0).clip(1e-9)
        filled = np.where(seen, flux - self.mean, 0)
        self.basis = PCA(COMPONENTS, svd_solver='randomized', random_state=0).fit(filled).components_.astype(np.float32)
        self.weighted = weighted
        for _ in range(rounds if weighted else 0):
            c = self.scores(flux, ivar)
            top = (ivar * (flux - self.mean)).T @ c                                   # (P,K)
            inner = np.einsum('np,nk,nl->pkl', ivar, c, c, optimize=True)
            self.basis = np.linalg.solve(inner + 1e-6 * np.eye(COMPONENTS), top[..., None])[..., 0].T.astype(np.float32)

    def scores(self, flux, ivar) -> np.ndarray:  # (N,K)
        if not self.weighted:
            return np.where(ivar > 0, flux - self.mean, 0) @ self.basis.T
        top = (ivar * (flux - self.mean)) @ self.basis.T
        inner = np.einsum('np,kp,lp->nkl', ivar, self.basis, self.basis, optimize=True)
        return np.linalg.solve(inner + 1e-6 * np.eye(COMPONENTS), top[..., None])[..., 0]

    def chi2(self, flux, ivar) -> np.ndarray:  # (N,)
        left = flux - self.mean - self.scores(flux, ivar) @ self.basis
        return (ivar * left**2).sum(1) / (ivar > 0).sum(1)

def beside(chi2, where, usual, among, own: bool) -> np.ndarray:
    "Logarithms of chi-square, in scatters of the nearest of the sample"
    scale = among.std(0)
    rows = NearestNeighbors(n_neighbors=NEAR + own).fit(among / scale).kneighbors(where / scale)[1][:, own:]
    near = np.log(usual)[rows]
    return (np.log(chi2) - near.mean(1)) / near.std(1)

def peers(prepare: Callable, sample: Spectra) -> dict[str, Method]:
    "What a user writes in ten lines, and two methods of a library"
    ready = prepare(sample)
    found: dict[str, Method] = {}

    def residual(of: Components, by_scores: bool, spectra: Spectra) -> np.ndarray:
        def place(some):
            snr = np.log(some.snr())[:, None]
            return np.c_[of.scores(some.flux, some.ivar), snr] if by_scores else snr
        some = prepare(spectra)
        return beside(of.chi2(some.flux, some.ivar), place(some), of.chi2(ready.flux, ready.ivar), place(ready), False)

    for name, weighted in (('PCA', False), ('EMPCA', True)):
        of = Components(ready.flux, ready.ivar, weighted)
        found[f'{name} residual at like S/N'] = partial(residual, of, False)
        found[f'{name} residual beside neighbours'] = partial(residual, of, True)
    pca = Components(ready.flux, ready.ivar, False)
    scores = pca.scores(ready.flux, ready.ivar)
    for name, fitted in (('isolation forest on PCA', IsolationForest(n_estimators=300, random_state=0).fit(scores)),
                         ('local outlier factor on PCA', LocalOutlierFactor(n_neighbors=20, novelty=True).fit(scores / scores.std(0)))):
        unit = scores.std(0) if 'local' in name else 1

        def library(fitted, unit, spectra: Spectra) -> np.ndarray:
            some = prepare(spectra)
            return -fitted.score_samples(pca.scores(some.flux, some.ivar) / unit)
        found[name] = partial(library, fitted, unit)
    return found

def of_model(model) -> Method:
    return lambda spectra: score(model, spectra, explain=0).anomaly.to_numpy()

# -------------------------------------------------------------------------------------------------------------- tables
def area(normal: np.ndarray, odd: np.ndarray) -> float:
    "Area under the ROC curve"
    ranks = rankdata(np.r_[normal, odd])[len(normal):]
    return (ranks.sum() - len(odd) * (len(odd) + 1) / 2) / len(normal) / len(odd)

def area_error(normal: np.ndarray, odd: np.ndarray, times: int = 30) -> float:
    rng = np.random.default_rng(0)
    return float(np.std([area(rng.choice(normal, len(normal)), rng.choice(odd, len(odd))) for _ in range(times)]))

def table(rows: dict, digits: int = 3):
    print(pd.DataFrame(rows).T.round(digits).to_markdown() if hasattr(pd.DataFrame, 'to_markdown') else rows, flush=True)

def show(frame: pd.DataFrame, title: str):
    print(f'\n## {title}\n')
    print('| | ' + ' | '.join(map(str, frame.columns)) + ' |\n|---|' + '---:|' * frame.shape[1])
    for name, row in frame.iterrows():
        print(f'| {name} | ' + ' | '.join(f'{x:.3f}' if np.isfinite(x) else '' for x in row) + ' |')
    print(flush=True)

def areas(methods: dict[str, Method], learned: Learned, args) -> None:
    normal_stars = stars(learned, args.normal, args.seed + 1)
    normal = {name: method(normal_stars) for name, method in methods.items()}
    by_kind, mean = {}, {}
    for strength in STRENGTHS:
        odd = {kind: stars(learned, args.each, args.seed + 2, kind, strength) for kind in ODD}
        for name, method in methods.items():
            values = {kind: method(some) for kind, some in odd.items()}
            each = {kind: area(normal[name], x) for kind, x in values.items()}
            error = np.sqrt(sum(area_error(normal[name], x)**2 for x in values.values())) / len(ODD)
            by_kind[name, strength] = each
            mean.setdefault(name, {}).update({f'{strength:g}': np.mean(list(each.values())), f'error {strength:g}': error})
    show(pd.DataFrame(mean).T, 'Mean area under the ROC curve over ten kinds, by strength')
    for strength in STRENGTHS:
        frame = pd.DataFrame({name: by_kind[name, strength] for name in methods}).T
        show(frame, f'Area by kind at strength {strength:g}')

def models_of(args, sample: Spectra) -> dict:
    "Models by name, and the seconds that each took"
    packaged = load_model('apogee-16')
    found = {}
    if 'packaged' in args.models:
        found['packaged, as it comes'] = packaged, 0.
    if 'calibrated' in args.models:
        for n in (100, 1000, SAMPLE):
            start = time.perf_counter()
            found[f'packaged, calibrated on {n:,}'] = calibrated(packaged, sample[:n]), time.perf_counter() - start
    for name, start_at, n in (('fine-tuned', 'apogee-16', 1000), ('trained', None, SAMPLE)):
        if name in args.models:
            found[f'{name} on {n:,}'] = trained(sample[:n], start_at)
    return found

def trained(sample: Spectra, start: str | None):
    "A model trained as the command does it, and the seconds that it took"
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = sample.save(Path(folder)/'survey')
        def final(model, held):
            dls = spectra_dls(store, model.recipe, bs=64, seed=0, device='cpu')
            return calibrate_trained(model, dls, load_model(start) if start else None)
        model = train_store(store, Path(folder)/'model', start=start, device='cpu', final=final)
    return model, time.perf_counter() - began

def promises(models: dict, learned: Learned, sample: Spectra, args) -> None:
    "Misfit, p-values, and what is flagged in surveys of which few stars are odd"
    normal = stars(learned, args.normal, args.seed + 1)
    rare = {name: twentieth(learned, args.normal // 2, args.seed + 3, column) for name, column in RARE.items()}
    surveys = [with_odd_ones(learned, args.seed + 10 + k) for k in range(args.surveys)]
    rows = {}
    for name, (model, seconds) in models.items():
        found = score(model, normal, explain=0)
        rows[name] = dict(seconds=seconds, chi2=found.chi2.median(), below_01=(found.p_value < .01).mean(),
                          KS=kstest(found.p_value, 'uniform').statistic)
        rows[name] |= {who: (score(model, some, explain=0).p_value < .01).mean() for who, some in rare.items()}
        rows[name] |= false_discoveries(model, surveys)
        rows[name] |= {f'{who} flagged': among_normal(model, spoilt, found.p_value) for who, spoilt in hopeless(normal).items()}
        rows[name] |= {'generated p < 0.01': own_generated(model, sample)}
    show(pd.DataFrame(rows).T, 'Fresh normal stars: median chi-square, shares with p < 0.01, distance of p from uniform; '
         'surveys with a few odd stars: what is flagged; normal stars with one cosmic ray or half of noise, each alone '
         'among the fresh ones: share that is flagged; stars that the model generates')

RARE = {'metal-poor': 2, 'coolest': 0}  # column of the labels whose lowest twentieth is drawn
ODD_IN_SURVEY = 20
RATES = (.01, .1)

RAY = 100.       # of the error bar, a cosmic ray in one pixel
SPOILT = 20      # stars
GENERATED = 500  # stars

def hopeless(normal: Spectra) -> dict[str, Spectra]:
    "Normal stars with one cosmic ray, and with noise in place of one half of the pixels"
    some = normal[:SPOILT]
    rng = np.random.default_rng(4)
    ray, noise = some.flux.copy(), some.flux.copy()
    for row in range(SPOILT):
        pixels = np.flatnonzero(some.ivar[row] > 0)
        at = rng.choice(pixels)
        ray[row, at] += RAY / np.sqrt(some.ivar[row, at])
        half = pixels[:len(pixels) // 2]
        noise[row, half] = np.median(noise[row, half]) * rng.normal(1, .5, len(half))
    return {'cosmic ray': some.replace(flux=ray), 'half noise': some.replace(flux=noise)}

def among_normal(model, spoilt: Spectra, p_normal: pd.Series) -> float:
    "Share that is flagged at 1 %, each star alone among normal ones"
    p = score(model, spoilt, explain=0).p_value
    return np.mean([flag(np.r_[p_normal, one], RATES[0])[-1] for one in p])

def own_generated(model, sample: Spectra) -> float:
    "Share of p < 0.01 of stars that the model generates, recorded like the sample's"
    told = learn_prior(replace(model, info=dict(model.info)), sample, LABELS)
    made = generate(told, GENERATED, like=sample)
    return (score(model, made, explain=0).p_value < .01).mean()

def twentieth(learned: Learned, n: int, seed: int, column: int) -> Spectra:
    "Normal stars of the lowest twentieth in one label"
    rng = np.random.default_rng(seed)
    labels, flux = drawn(learned, 20 * n, rng)
    lowest = np.argsort(labels[:, column])[:n]
    return record(learned, flux[lowest], np.random.default_rng([seed, 2]))

def with_odd_ones(learned: Learned, seed: int) -> Spectra:
    "A survey of which the last stars are odd, of all kinds by turns"
    kinds = [list(ODD)[k % len(ODD)] for k in range(ODD_IN_SURVEY)]
    odd = [stars(learned, 1, 1000 * seed + k, kind, 1.) for k, kind in enumerate(kinds)]
    return concat([stars(learned, SAMPLE - ODD_IN_SURVEY, seed), *odd])

def false_discoveries(model, surveys: list[Spectra]) -> dict[str, float]:
    "Of all surveys together, at each rate: flagged normal stars a survey, flagged odd ones, share of the former"
    counts = {rate: np.zeros(2) for rate in RATES}
    for some in surveys:
        p = score(model, some, explain=0).p_value
        for rate in RATES:
            flagged = flag(p, rate)
            counts[rate] += flagged[:-ODD_IN_SURVEY].sum(), flagged[-ODD_IN_SURVEY:].sum()
    out = {}
    for rate, (false, true) in counts.items():
        out |= {f'false at {rate:g}': false / max(len(surveys), 1), f'odd at {rate:g}': true / max(len(surveys), 1),
                f'share at {rate:g}': false / max(false + true, 1)}
    return out

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', type=Path, default=Path('../shared/data/real'))
    p.add_argument('--normal', type=int, default=2000)
    p.add_argument('--each', type=int, default=300)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--surveys', type=int, default=10)
    p.add_argument('--models', nargs='+', default=['packaged', 'calibrated'])
    args = p.parse_args()
    learned = Learned(args.data)
    sample = with_odd_ones(learned, args.seed)[np.random.default_rng(args.seed).permutation(SAMPLE)]
    models = models_of(args, sample)
    promises(models, learned, sample, args)
    recipe = load_model('apogee-16').recipe
    areas({name: of_model(model) for name, (model, _) in models.items()} | peers(recipe, sample), learned, args)
