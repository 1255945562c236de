"""Odd stars in a survey of one's own: the packaged model as it comes, calibrated, fine-tuned and trained, and its peers.

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

from real import (
    BAD_SHARE,
    N_PIXELS,
    SNR_MEDIAN,
    SNR_RANGE,
    SNR_SPREAD,
    Learned,
    fitted_giants,
    on_grid,
    responses,
    structure,
)
from stellar_gen.anomaly import score
from stellar_gen.anomaly.scoring import flag
from stellar_gen.anomaly.survey import calibrate_trained, calibrated
from stellar_gen.data import APOGEE, APOGEE_PIXMASK, APOGEE_WAVE, CHIPS, Spectra, concat
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
SKY_SEED = 79

# ---------------------------------------------------------------------------------------------------------- odd stars
Flux = np.ndarray  # (N,8575), over the continuum
# All at strength 1:
EMISSION_HEIGHT = .25        # of the continuum
EMISSION_WIDTH = 5           # pixels
SECOND_SHARE = .4            # of the light, of a second giant
SECOND_VELOCITY = (30, 90)   # km/s
RICH = dict(c_fe=.4, n_fe=.6)  # dex
TELLURIC_SEED = 77
TELLURIC_LINES = .03         # of the pixels
TELLURIC_DEPTH = .08         # of the continuum, a scatter
TELLURIC_WIDTH = 1.2         # pixels
HOT_SHARE = .3               # of the light, of a hot companion
ROTATION = 25.               # km/s
WRONG_VELOCITY = 20.         # km/s
STEP_HEIGHT = .06            # of the continuum
STEP_MARGIN = 300            # pixels, from the ends of the detector
COSMIC_HEIGHT = (.3, .6)     # of the continuum
COSMIC_MARGIN = 100          # pixels, from the ends of the spectrum


def emission(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "Lines of hydrogen in emission"
    waves = [wave for wave in BRACKETT.values() if APOGEE_WAVE[0] < wave < APOGEE_WAVE[-1]]
    shape = np.zeros(N_PIXELS)
    shape[APOGEE_WAVE.searchsorted(waves)] = 1
    shape = gaussian_filter1d(shape, EMISSION_WIDTH)
    height = EMISSION_HEIGHT * strength * rng.uniform(.5, 1.5, (len(flux), 1))
    return flux + height * shape / shape.max()


def binary(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "The lines of a second giant, at another velocity"
    velocity = rng.choice([-1, 1], len(flux)) * rng.uniform(*SECOND_VELOCITY, len(flux))
    second = shift_and_blur(others, rv=velocity)
    return flux + SECOND_SHARE * strength * (second - flux)


def carbon_nitrogen(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "Carbon and nitrogen are plentiful"
    table = pd.DataFrame(labels, columns=LABELS)
    plain, rich = synthesize(table), synthesize(table.assign(**RICH))
    return flux * (rich / plain)**strength


def swapped(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "One detector has seen another star"
    out = flux.copy()
    for row, name in enumerate(rng.choice(list(CHIPS), len(flux))):
        out[row, CHIPS[name]] += strength * (others[row, CHIPS[name]] - flux[row, CHIPS[name]])
    return out


def telluric(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "Lines of the atmosphere that were taken out too little or too much"
    at_lines = np.random.default_rng(TELLURIC_SEED + 1).random(N_PIXELS) < TELLURIC_LINES
    pattern = np.random.default_rng(TELLURIC_SEED).exponential(1, N_PIXELS) * at_lines
    left = TELLURIC_DEPTH * strength * rng.normal(size=(len(flux), 1))
    return flux * (1 + left * gaussian_filter1d(pattern, TELLURIC_WIDTH))


def hot(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "The light of a hot companion, which has no lines"
    return flux + HOT_SHARE * strength * (1 - flux)


def rotating(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "Fast rotation"
    return shift_and_blur(flux, vsini=np.full(len(flux), ROTATION * strength))


def moved(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "A wrong velocity"
    return shift_and_blur(flux, rv=rng.choice([-1, 1], len(flux)) * WRONG_VELOCITY * strength)


def step(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "The flux jumps on one detector"
    out = flux.copy()
    for row, name in enumerate(rng.choice(list(CHIPS), len(flux))):
        pixels = CHIPS[name]
        at = rng.integers(pixels.start + STEP_MARGIN, pixels.stop - STEP_MARGIN)
        out[row, at:pixels.stop] *= 1 + STEP_HEIGHT * strength
    return out


def cosmic(flux: Flux, strength: float, rng, others: Flux, labels) -> Flux:
    "Two cosmic rays, of two pixels each"
    out = flux.copy()
    for row in range(len(flux)):
        at = rng.integers(COSMIC_MARGIN, N_PIXELS - COSMIC_MARGIN, 2)
        out[row, np.r_[at, at + 1]] += strength * rng.uniform(*COSMIC_HEIGHT)
    return out


ODD: dict[str, Callable] = dict(
    emission=emission, binary=binary, carbon_nitrogen=carbon_nitrogen, swapped=swapped, telluric=telluric,
    cosmic=cosmic, hot=hot, rotating=rotating, moved=moved, step=step)


# ------------------------------------------------------------------------------------------------------------- surveys
def record(learned: Learned, flux: Flux, rng) -> Spectra:
    "Spectra as a survey delivers them"
    n, pixels = len(flux), learned.pixels
    flux = flux + structure(n, rng) * on_grid(learned.scatter, pixels)
    flux = shift_and_blur(flux, rv=rng.normal(0, REST, n))
    period = np.exp(rng.uniform(*np.log(RIPPLE_PERIOD), (n, 1)))
    flux *= 1 + RIPPLE * np.sin(2 * np.pi * (np.arange(N_PIXELS) / period + rng.random((n, 1))))
    level = responses(n, rng)
    snr = np.exp(rng.normal(np.log(SNR_MEDIAN), SNR_SPREAD, (n, 1))).clip(*SNR_RANGE)
    error = level / snr
    noise = rng.normal(size=flux.shape)
    sky = np.random.default_rng(SKY_SEED).choice(pixels, SKY_LINES, replace=False)
    noise[:, sky] += SKY_SIZE * rng.normal(size=(n, 1)) * rng.random((n, SKY_LINES))
    known = np.zeros(N_PIXELS, bool)
    known[pixels] = True
    good = known & (rng.random(flux.shape) > BAD_SHARE)
    recorded = np.where(good, level * flux + error * noise, 0)
    ivar = np.where(known, error**-2., 0)
    mask = np.where(good, 0, int(APOGEE_PIXMASK.BADPIX)).astype(np.int32)
    meta = pd.DataFrame(dict(apogee_id=[f'star {i}' for i in range(n)]))
    return Spectra(APOGEE, recorded.astype(np.float32), ivar.astype(np.float32), mask, meta)


def drawn(learned: Learned, n: int, rng) -> tuple[np.ndarray, Flux]:
    "Labels (n,4) and noiseless spectra of giants that no fit has seen"
    others = learned.labels[~fitted_giants(len(learned.labels))]
    labels = others[rng.integers(0, len(others), n)] + rng.normal(0, JITTER, (n, 4))
    labels = labels.clip(others.min(0), others.max(0))
    return labels, on_grid(learned.giants(labels), learned.pixels, elsewhere=1.)


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
COMPONENTS = 16
ROUNDS = 15                  # of expectation and maximization
NEAR = 50                    # neighbours with which a star is compared
STABLE = 1e-6                # added to a normal matrix
Method = Callable[[Spectra], np.ndarray]  # how odd each star is (N,)


def solved(inner: np.ndarray, top: np.ndarray) -> np.ndarray:
    "Solutions (M,K) of normal equations (M,K,K) and (M,K)"
    return np.linalg.solve(inner + STABLE * np.eye(COMPONENTS), top[..., None])[..., 0]


class Components:
    "Principal components, missing pixels filled with the mean; by expectation-maximization with weights if asked"

    def __init__(self, flux: np.ndarray, ivar: np.ndarray, weighted: bool):
        self.mean = (flux * ivar).sum(0) / ivar.sum(0).clip(1e-9)
        filled = np.where(ivar > 0, flux - self.mean, 0)
        fit = PCA(COMPONENTS, svd_solver='randomized', random_state=0).fit(filled)
        self.basis = fit.components_.astype(np.float32)                       # (K,P)
        self.weighted = weighted
        for _ in range(ROUNDS if weighted else 0):
            scores = self.scores(flux, ivar)
            top = (ivar * (flux - self.mean)).T @ scores                      # (P,K)
            inner = np.einsum('np,nk,nl->pkl', ivar, scores, scores, optimize=True)
            self.basis = solved(inner, top).T.astype(np.float32)

    def scores(self, flux, ivar) -> np.ndarray:  # (N,K)
        if not self.weighted:
            return np.where(ivar > 0, flux - self.mean, 0) @ self.basis.T
        top = (ivar * (flux - self.mean)) @ self.basis.T
        inner = np.einsum('np,kp,lp->nkl', ivar, self.basis, self.basis, optimize=True)
        return solved(inner, top)

    def chi2(self, flux, ivar) -> np.ndarray:  # (N,)
        left = flux - self.mean - self.scores(flux, ivar) @ self.basis
        return (ivar * left**2).sum(1) / (ivar > 0).sum(1)


def beside(
    chi2: np.ndarray,    # Of stars (N,)
    where: np.ndarray,   # Their coordinates (N,D)
    usual: np.ndarray,   # Chi-square of the sample (M,)
    among: np.ndarray,   # Its coordinates (M,D)
) -> np.ndarray:
    "Logarithms of chi-square (N,), in scatters of the nearest of the sample"
    scale = among.std(0)
    rows = NearestNeighbors(n_neighbors=NEAR).fit(among / scale).kneighbors(where / scale)[1]
    near = np.log(usual)[rows]
    return (np.log(chi2) - near.mean(1)) / near.std(1)


def peers(prepare: Callable, sample: Spectra) -> dict[str, Method]:
    "What a user writes in ten lines, and two methods of a library"
    ready = prepare(sample)
    pca, empca = (Components(ready.flux, ready.ivar, weighted) for weighted in (False, True))
    scores = pca.scores(ready.flux, ready.ivar)
    scatter = scores.std(0)
    forest = IsolationForest(n_estimators=300, random_state=0).fit(scores)
    local = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(scores / scatter)

    def residual(of: Components, by_scores: bool, spectra: Spectra) -> np.ndarray:
        def place(some):
            snr = np.log(some.snr())[:, None]
            return np.c_[of.scores(some.flux, some.ivar), snr] if by_scores else snr

        some = prepare(spectra)
        return beside(of.chi2(some.flux, some.ivar), place(some), of.chi2(ready.flux, ready.ivar), place(ready))

    def library(fitted, unit, spectra: Spectra) -> np.ndarray:
        some = prepare(spectra)
        return -fitted.score_samples(pca.scores(some.flux, some.ivar) / unit)

    return {
        'PCA residual at like S/N': partial(residual, pca, False),
        'PCA residual beside neighbours': partial(residual, pca, True),
        'EMPCA residual at like S/N': partial(residual, empca, False),
        'EMPCA residual beside neighbours': partial(residual, empca, True),
        'isolation forest on PCA': partial(library, forest, 1),
        'local outlier factor on PCA': partial(library, local, scatter),
    }


def of_model(model) -> Method:
    return lambda spectra: score(model, spectra, explain=0).anomaly.to_numpy()


# -------------------------------------------------------------------------------------------------------------- tables
BOOTSTRAPS = 30
RARE = {'metal-poor': 2, 'coolest': 0}  # column of the labels whose lowest twentieth is drawn
ODD_IN_SURVEY = 20           # stars
RATES = (.01, .1)            # of false discoveries
ODD_P = .01                  # p-value below which a star is odd
RAY = 100.                   # of the error bar, a cosmic ray in one pixel
SPOILT = 20                  # stars
GENERATED = 500              # stars


def area(normal: np.ndarray, odd: np.ndarray) -> float:
    "Area under the ROC curve"
    ranks = rankdata(np.r_[normal, odd])[len(normal):]
    return (ranks.sum() - len(odd) * (len(odd) + 1) / 2) / len(normal) / len(odd)


def area_error(normal: np.ndarray, odd: np.ndarray) -> float:
    "Its error, by a bootstrap over stars"
    rng = np.random.default_rng(0)
    again = [area(rng.choice(normal, len(normal)), rng.choice(odd, len(odd))) for _ in range(BOOTSTRAPS)]
    return float(np.std(again))


def show(frame: pd.DataFrame, title: str):
    print(f'\n## {title}\n')
    print('| | ' + ' | '.join(map(str, frame.columns)) + ' |\n|---|' + '---:|' * frame.shape[1])
    for name, row in frame.iterrows():
        cells = [f'{value:.3f}' if np.isfinite(value) else '' for value in row]
        print(f'| {name} | ' + ' | '.join(cells) + ' |')
    print(flush=True)


def areas(methods: dict[str, Method], learned: Learned, args) -> None:
    "Print how well every method finds odd stars"
    normal_stars = stars(learned, args.normal, args.seed + 1)
    normal = {name: method(normal_stars) for name, method in methods.items()}
    by_kind: dict[tuple[str, float], dict[str, float]] = {}
    mean: dict[str, dict[str, float]] = {name: {} for name in methods}
    for strength in STRENGTHS:
        odd = {kind: stars(learned, args.each, args.seed + 2, kind, strength) for kind in ODD}
        for name, method in methods.items():
            values = {kind: method(some) for kind, some in odd.items()}
            each = {kind: area(normal[name], x) for kind, x in values.items()}
            errors = [area_error(normal[name], x) for x in values.values()]
            by_kind[name, strength] = each
            mean[name][f'{strength:g}'] = np.mean(list(each.values()))
            mean[name][f'error {strength:g}'] = np.sqrt(np.sum(np.square(errors))) / len(ODD)
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
            model = calibrated(packaged, sample[:n])
            found[f'packaged, calibrated on {n:,}'] = model, time.perf_counter() - start
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
    spoilt = hopeless(normal)
    rows = {}
    for name, (model, seconds) in models.items():
        found = score(model, normal, explain=0)
        row = dict(seconds=seconds, chi2=found.chi2.median(), below_01=(found.p_value < ODD_P).mean())
        row['KS'] = kstest(found.p_value, 'uniform').statistic
        row |= {who: share_odd(model, some) for who, some in rare.items()}
        row |= false_discoveries(model, surveys)
        row |= {f'{who} flagged': among_normal(model, some, found.p_value) for who, some in spoilt.items()}
        row['generated p < 0.01'] = own_generated(model, sample)
        rows[name] = row
    show(pd.DataFrame(rows).T, 'Fresh normal stars: median chi-square, shares with p < 0.01, distance of p from uniform; '
         'surveys with a few odd stars: what is flagged; normal stars with one cosmic ray or half of noise, each alone '
         'among the fresh ones: share that is flagged; stars that the model generates')


def share_odd(model, spectra: Spectra) -> float:
    "Share with p < 0.01"
    return (score(model, spectra, explain=0).p_value < ODD_P).mean()


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
    return share_odd(model, generate(told, GENERATED, like=sample))


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
        out[f'false at {rate:g}'] = false / max(len(surveys), 1)
        out[f'odd at {rate:g}'] = true / max(len(surveys), 1)
        out[f'share at {rate:g}'] = false / max(false + true, 1)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path('../shared/data/real'))
    parser.add_argument('--normal', type=int, default=2000)
    parser.add_argument('--each', type=int, default=300)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--surveys', type=int, default=10)
    parser.add_argument('--models', nargs='+', default=['packaged', 'calibrated'])
    args = parser.parse_args()
    learned = Learned(args.data)
    sample = with_odd_ones(learned, args.seed)[np.random.default_rng(args.seed).permutation(SAMPLE)]
    models = models_of(args, sample)
    promises(models, learned, sample, args)
    recipe = load_model('apogee-16').recipe
    ours = {name: of_model(model) for name, (model, _) in models.items()}
    areas(ours | peers(recipe, sample), learned, args)


if __name__ == '__main__':
    main()
