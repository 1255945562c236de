"""Who finds the odd stars: ours and its peers, on the same simulated survey, in one run.

    python benchmarks/anomaly.py [--normal 20000] [--each 30] [--train 4000] [--model apogee-16] [--skip-robust]

Normal stars and every kind of injected anomaly at three amplitudes, all of them made by the simulator from a star's
labels; our combination was learned from anomalies injected into spectra, another way of making them. Peers learn from
the same normal stars that ours is calibrated on. Area under the ROC curve and average precision of one kind at one
amplitude against all normal stars; precision at 100 of all kinds of one amplitude together among the normal.
"""
import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import kstest
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from stellar_gen.anomaly import calibrate, score
from stellar_gen.data import Spectra
from stellar_gen.preprocess import preprocess_store
from stellar_gen.simulate import ANOMALIES, simulate
from stellar_gen.train import encode, finish, load_model, spectra_dls, spectra_learner
from stellar_gen.vae import ElboLoss
from survey import Components, beside

KINDS = list(ANOMALIES)
AMPLITUDES = .5, 1., 2.
BLOCK = 2000                # normal stars that are simulated and scored at a time
FIRST = 100                 # stars of the list, among which odd ones are counted
SNR_BINS = (20, 70), (70, 120), (120, 200), (200, 400)
SMALL = .05, .01, .001      # p-values
ODD = .01                   # p-value below which a star is odd
UNHEARD_TRAIN = 3000        # normal stars at most, where kinds are left out
UNHEARD_NORMAL = 2000       # to test with
TIMED = 6000                # stars
FIRST_CALL = 256            # stars that are scored before the clock starts
TRAINED, SPOILT = 8000, 160  # stars of a training, and odd ones among them
EPOCHS = 12                 # of it
ROBUST_NORMAL = 1500        # to test with


def table(rows, digits=3):
    print(pd.DataFrame(rows).round(digits).to_string(index=False), flush=True)


def odd_stars(each, seed, amplitude=1.):
    "As many of each kind"
    return simulate(each * len(KINDS), seed=seed, anomalies=dict.fromkeys(KINDS, each), amplitude=amplitude)


def compared(metric, normal, odd):
    "A metric of scores of normal and odd stars"
    truth = np.repeat([0, 1], [len(normal), len(odd)])
    return metric(truth, np.r_[normal, odd])


# ----------------------------------------------------------------------------------------- peers: fit on normal stars
COMPONENTS, MANY_COMPONENTS = 16, 64
TREES = 200             # of the unsupervised forest
COMPARED = 1000         # of its stars, with whose leaves others are compared
FLOW_STEPS, FLOW_BATCH = 2000, 256


class Pca:
    "Principal components; pixels without information are filled with the mean spectrum"

    def __init__(self, flux, ivar, n):
        torch.manual_seed(0)
        known = ivar > 0
        self.mean = (flux * known).sum(0) / known.sum(0).clip(min=1)
        x = torch.from_numpy(self.fill(flux, ivar))
        self.directions = torch.svd_lowrank(x, n, niter=4)[2].numpy()  # (P,K)

    def fill(self, flux, ivar):
        return np.where(ivar > 0, flux - self.mean, 0).astype(np.float32)

    def scores(self, flux, ivar):
        return self.fill(flux, ivar) @ self.directions

    def residual(self, flux, ivar):
        "Chi-square per pixel of what the components leave"
        x = self.fill(flux, ivar)
        left = x - x @ self.directions @ self.directions.T
        return (ivar * left**2).sum(1) / (ivar > 0).sum(1).clip(min=1)


class Unsupervised:
    "Random forest that tells spectra from shuffled ones; who shares few leaves is odd (Baron & Poznanski 2017)"

    def __init__(self, x):
        rng = np.random.default_rng(0)
        shuffled = np.stack([rng.permutation(column) for column in x.T], 1)
        is_real = np.repeat([1., 0.], len(x))
        forest = RandomForestClassifier(TREES, min_samples_leaf=2, n_jobs=-1, random_state=0)
        self.forest = forest.fit(np.r_[x, shuffled], is_real)
        self.leaves = self.forest.apply(x[:COMPARED])

    def __call__(self, x):
        parts = np.array_split(self.forest.apply(x), max(len(x) // 200, 1))
        shared = [(part[:, None] == self.leaves[None]).mean((1, 2)) for part in parts]
        return 1 - np.concatenate(shared)


class Density:
    "A neural spline flow on our latents, as spender's authors do for their own"

    def __init__(self, latents):
        from zuko.flows import NSF
        torch.manual_seed(0)
        self.mean = latents.mean(0)
        self.scatter = latents.std(0)
        self.flow = NSF(latents.shape[1], transforms=3, hidden_features=(64, 64))
        x = self.scaled(latents)
        optimizer = torch.optim.Adam(self.flow.parameters(), 1e-3)
        for _ in range(FLOW_STEPS):
            batch = x[torch.randint(len(x), (FLOW_BATCH,))]
            loss = -self.flow().log_prob(batch).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def scaled(self, latents):
        return torch.from_numpy((latents - self.mean) / self.scatter).float()

    @torch.no_grad()
    def __call__(self, latents):
        return -self.flow().log_prob(self.scaled(latents)).nan_to_num(-1e9).numpy()


class Seen(NamedTuple):
    "Stars as the methods see them"
    ready: Spectra          # Prepared
    scored: pd.DataFrame    # Our table

    @property
    def arrays(self):
        "Flux and inverse variance (N,P)"
        return self.ready.flux, self.ready.ivar

    @property
    def latents(self):
        "(N,16)"
        names = [name for name in self.scored if name[0] == 'z' and name[1:].isdigit()]
        return self.scored[names].to_numpy(np.float32)


Method = Callable[[Seen], np.ndarray]  # how odd each star is (N,)


def seen(model, spectra, **options):
    return Seen(model.recipe(spectra), score(model, spectra, details=True, **options))


def beside_neighbours(train: Seen, weighted: bool) -> Method:
    "Chi-square that sixteen components leave, beside that of the fifty stars nearest in scores and S/N"
    of = Components(*train.arrays, weighted)

    def place(stars):
        return np.c_[of.scores(*stars.arrays), np.log(stars.ready.snr())]

    usual, among = of.chi2(*train.arrays), place(train)
    return lambda stars: beside(of.chi2(*stars.arrays), place(stars), usual, among)


def peers(model, spectra) -> dict[str, Method]:
    "Methods by name"
    train = seen(model, spectra, explain=0)
    pca, wide = (Pca(*train.arrays, n) for n in (COMPONENTS, MANY_COMPONENTS))
    x = pca.scores(*train.arrays)
    scatter = x.std(0)
    isolation = IsolationForest(n_estimators=300, random_state=0).fit(x)
    nearest = NearestNeighbors(n_neighbors=10).fit(x / scatter)
    local = LocalOutlierFactor(20, novelty=True).fit(x / scatter)
    forest = Unsupervised(wide.scores(*train.arrays))
    density = Density(train.latents)

    def on_scores(method):
        return lambda stars: method(pca.scores(*stars.arrays))

    return {
        'isolation forest, PCA': on_scores(lambda x: -isolation.score_samples(x)),
        'residual, PCA': lambda stars: pca.residual(*stars.arrays),
        'k-NN, PCA': on_scores(lambda x: nearest.kneighbors(x / scatter)[0].mean(1)),
        'LOF, PCA': on_scores(lambda x: -local.score_samples(x / scatter)),
        'unsupervised forest': lambda stars: forest(wide.scores(*stars.arrays)),
        'latent density': lambda stars: density(stars.latents),
        'residual beside neighbours, PCA': beside_neighbours(train, False),
        'residual beside neighbours, EMPCA': beside_neighbours(train, True),
        'our chi2 alone': lambda stars: stars.scored.chi2.to_numpy(),
        'ours': lambda stars: stars.scored.anomaly.to_numpy(),
    }


# ----------------------------------------------------------------------------------------------------- the comparison
def normal_stars(model, methods, n):
    "Scores of normal stars by method, and our table of them"
    found = {name: [] for name in methods}
    tables = []
    for start in range(0, n, BLOCK):
        spectra = simulate(min(BLOCK, n - start), seed=1000 + start)
        stars = seen(model, spectra, explain=0)
        tables.append(stars.scored[['snr', 'chi2', 'anomaly', 'p_value']].assign(type=spectra.meta.kind.to_numpy()))
        for name, method in methods.items():
            found[name].append(method(stars))
    return {name: np.concatenate(scores) for name, scores in found.items()}, pd.concat(tables)


def compare(model, args):
    "Areas and precisions of all methods; then what only ours says"
    methods = peers(model, simulate(args.train, seed=901))
    normal, ordinary = normal_stars(model, methods, args.normal)
    rows = {name: dict(method=name) for name in methods}
    judged, by_kind = [], {}
    for amplitude in AMPLITUDES:
        spectra = odd_stars(args.each, 5000 + int(10 * amplitude), amplitude)
        stars = seen(model, spectra, fdr=1, explain=1.)
        kind = spectra.meta.anomaly.to_numpy()
        said = stars.scored[['snr', 'anomaly', 'p_value', 'p_star', 'cause', 'kind', 'reason']]
        judged.append(said.assign(true=kind, amplitude=amplitude))
        for name, method in methods.items():
            usual, odd = normal[name], method(stars)
            area = {one: compared(roc_auc_score, usual, odd[kind == one]) for one in KINDS}
            precision = {one: compared(average_precision_score, usual, odd[kind == one]) for one in KINDS}
            first = np.argsort(-np.r_[usual, odd])[:FIRST]
            rows[name][f'AUROC {amplitude:g}'] = np.mean(list(area.values()))
            rows[name][f'AP {amplitude:g}'] = np.mean(list(precision.values()))
            rows[name][f'at 100, {amplitude:g}'] = (first >= len(usual)).mean()
            if amplitude == 1:
                by_kind[name] = area
    print(f'{args.normal:,} normal stars, {args.each} of each of {len(KINDS)} kinds at amplitudes {AMPLITUDES}')
    table(rows.values())
    print('\nAUROC by kind at amplitude 1')
    print(pd.DataFrame(by_kind).round(3).to_string())
    p_values(ordinary)
    causes(pd.concat(judged), args.each * len(KINDS))


def p_values(ordinary):
    "Whether p-values of normal stars are uniform"
    print('\nNormal stars: distance of p_value from a uniform one (Kolmogorov-Smirnov), '
          'and the shares below 0.05, 0.01, 0.001')
    groups = {'all': ordinary}
    groups |= {f'S/N {low}-{high}': ordinary[ordinary.snr.between(low, high)] for low, high in SNR_BINS}
    groups |= dict(list(ordinary.groupby('type')))
    rows = []
    for name, group in groups.items():
        p = group.p_value
        below = {f'below_{str(limit)[2:]}': (p < limit).mean() for limit in SMALL}
        rows.append(dict(stars=name, n=len(group), KS=kstest(p, 'uniform').statistic, **below))
    table(rows, 4)


def causes(judged, n):
    "What is said of odd stars, `n` at each amplitude"
    print('\nStar or data, and which kind, of the odd stars with p < 0.01')
    judged['truth'] = judged.true.map(ANOMALIES)
    rows = []
    for amplitude, group in judged[judged.p_value < ODD].groupby('amplitude'):
        known = group[group.cause != 'unknown']
        rows.append(dict(
            amplitude=amplitude,
            found=f'{len(group)} of {n}',
            star_or_data=((group.p_star > .5) == (group.truth == 'star')).mean(),
            unknown=(group.cause == 'unknown').mean(),
            cause_if_known=(known.cause == known.truth).mean(),
            kind_if_known=(known.kind == known.true).mean(),
        ))
    table(rows)


def unheard_of(model, args):
    "Each kind left out when the combination is learned"
    normal = simulate(min(args.train, UNHEARD_TRAIN), seed=902)
    test = simulate(UNHEARD_NORMAL, seed=903)
    odd = odd_stars(args.each, 5010)
    rows = []
    for kind in KINDS:
        calibrate(model, normal, kinds=[other for other in KINDS if other != kind])
        usual = score(model, test, explain=0).anomaly
        found = score(model, odd[np.flatnonzero(odd.meta.anomaly == kind)], explain=0).anomaly
        rows.append(dict(kind=kind, AUROC=compared(roc_auc_score, usual, found)))
    mean = round(np.mean([row['AUROC'] for row in rows]), 3)
    print('\nAUROC of each kind, amplitude 1, when the combination has never heard of it: mean', mean)
    table(rows)


def speed(model):
    "Stars per second, with reasons for the top hundredth"
    spectra = simulate(TIMED, seed=904)
    score(model, spectra[:FIRST_CALL])

    def rate(work, source):
        start = time.perf_counter()
        found = work(model, source)
        return len(spectra) / (time.perf_counter() - start), found

    as_read, found = rate(score, spectra)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        spectra.save(folder / 'raw')
        preprocess_store(folder / 'raw', folder / 'ready', model.recipe)
        from_store, _ = rate(score, folder / 'ready')
        encoding, _ = rate(encode, folder / 'ready')
    reasons = (found.reason != '').sum()
    print(f'\nScoring, with reasons for {reasons} of {len(found):,}: {as_read:,.0f} stars/s as read, {from_store:,.0f} '
          f'from a prepared store; encoding alone, for comparison, {encoding:,.0f}')


def robust(args):
    "Two stars in a hundred of the training set are odd"
    each = -(-SPOILT // len(KINDS))
    clean = simulate(TRAINED, seed=905)
    dirty = simulate(TRAINED, seed=905, anomalies=dict.fromkeys(KINDS, each))
    order = np.random.default_rng(0).permutation(TRAINED)
    test = simulate(ROBUST_NORMAL, seed=906)
    odd = odd_stars(args.each, 5020)
    kind = odd.meta.anomaly.to_numpy()
    rows = []
    student = dict(loss=ElboLoss(nu=10))
    for name, stars, options in (('clean', clean, {}), ('2 % odd', dirty, {}), ("2 % odd, Student's t", dirty, student)):
        dls = spectra_dls(stars[order])
        learn = spectra_learner(dls, **options)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(EPOCHS)
        held_out = np.sort(dls.splits[1])
        model = calibrate(finish(learn), stars[order][held_out])
        usual, found = score(model, test, explain=0), score(model, odd, explain=0)
        areas = [compared(roc_auc_score, usual.anomaly, found.anomaly[kind == one]) for one in KINDS]
        rows.append(dict(
            training=name,
            chi2_normal=usual.chi2.median(),
            AUROC=np.mean(areas),
            least=min(areas),
            worst=KINDS[int(np.argmin(areas))],
            flagged_normal=usual.flag.mean(),
            found=(found.p_value < ODD).mean(),
        ))
    print(f'\nTrained and calibrated on {TRAINED:,} stars with and without odd ones among them; AUROC at amplitude 1')
    table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--normal', type=int, default=20_000)
    parser.add_argument('--each', type=int, default=30)
    parser.add_argument('--train', type=int, default=4000)
    parser.add_argument('--model', default='apogee-16')
    parser.add_argument('--skip-robust', action='store_true')
    args = parser.parse_args()
    model = load_model(args.model)
    speed(model)
    compare(model, args)
    unheard_of(model, args)
    if not args.skip_robust:
        robust(args)


if __name__ == '__main__':
    main()
