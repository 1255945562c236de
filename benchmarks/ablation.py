"""What each part of the score brings: all of it, then all but one part.

    python benchmarks/ablation.py [--data ../shared/data/real] [--normal 2000] [--each 300] [--kind 60]
                                  [--packaged 6000] [--only PART ...] [--keep FILE]

Two sets of stars. A survey as `survey.py` draws it, whose stars are judged by the packaged model, adapted to and
calibrated with 1,000 others of the survey, ten of which are odd; and simulated stars as in `anomaly.py`, judged by the
packaged model with its own normal stars. Spectra are measured once. Then the reference is fitted again without one
part at a time, the rule learned again, and every star judged again. Printed are differences of the area under the ROC
curve, without the part less with it, so that what is negative has paid; errors are those of differences between two
areas of the same stars (DeLong et al. 1988). `--keep` holds the measures in a file, so that a run can go on.
"""
import argparse
import pickle
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from scipy.stats import kstest, rankdata

import stellar_gen.anomaly.reference as rooms
import survey
from real import Learned
from stellar_gen.anomaly.adaptation import adapt
from stellar_gen.anomaly.measures import Misfit, detector_information, indicator_names, templates_on, usable_on
from stellar_gen.anomaly.reference import Calibration, Reference, Sample
from stellar_gen.data import APOGEE, Spectra, concat
from stellar_gen.model import TrainedModel, load_model
from stellar_gen.simulate import ANOMALIES, simulate

sys.path.insert(0, str(Path(__file__).parent.parent / 'tools'))
from build_model import normal_stars

KINDS = list(ANOMALIES)
AMPLITUDES = (.5, 1., 2.)      # of simulated anomalies
SURVEY = 1000                  # stars to calibrate with
SIMULATED = 4000               # normal simulated stars to test
TIMED = 512                    # stars of which the indicators are timed
BATCH = 64                     # of them
LATENTS = range(16)            # coordinates in which neighbours are sought: latents first,
SIGNALS = (16, 17, 18)         # then the S/N of three detectors,
PERSISTENCE = 19               # then persistence
NOTHING = 1e-300               # whose logarithm is taken


# -------------------------------------------------------------------------------------------------------- measurements
@dataclass
class Stars:
    "Measures of a sample: normal stars, and odd ones by strength and kind"
    normal: Sample
    odd: dict[tuple[float, str], Sample]


@dataclass
class Measured:
    "All that is measured once"
    packaged: Calibration                          # Normal stars of the packaged model
    injected: dict[str, tuple[Sample, np.ndarray]]  # Odd ones made of them, by kind, and their rows
    calibration: Calibration                       # Stars of the survey
    survey: Stars
    simulated: Stars
    seconds: dict[str, float]                      # Of each indicator, per 1,000 stars


def sample(model: TrainedModel, spectra: Spectra) -> Sample:
    return rooms.sample_of(model, model.recipe(spectra), None)[0]


@torch.no_grad()
def seconds_of_indicators(measure: Callable[[slice], Misfit], n: int) -> Counter:
    "Seconds of each indicator; what indicators share counts for the first that asks"
    seconds: Counter = Counter()
    for start in range(0, n, BATCH):
        before = time.perf_counter()
        stars = measure(slice(start, start + BATCH))
        seconds['network'] += time.perf_counter() - before
        for one in usable_on(APOGEE):
            before = time.perf_counter()
            one.measure(stars)
            seconds[one.name] += time.perf_counter() - before
    return seconds


def time_of_indicators(model: TrainedModel, spectra: Spectra) -> dict[str, float]:
    "Seconds per 1,000 stars"
    ready = model.recipe(spectra)
    flux, ivar = (torch.from_numpy(x) for x in (ready.flux, ready.ivar))
    templates, information = templates_on(APOGEE, torch.device('cpu')), detector_information(model.net, APOGEE)

    def measure(part: slice) -> Misfit:
        return Misfit(model.net.eval(), templates, information, flux[part], ivar[part])

    seconds_of_indicators(measure, len(ready))  # templates are made the first time
    seconds = seconds_of_indicators(measure, len(ready))
    return {name: 1000 * s / len(ready) for name, s in seconds.items()}


def simulated_stars(model: TrainedModel, each: int) -> Stars:
    "Simulated stars, `each` of a kind and amplitude, measured by the packaged model"
    odd = {}
    for amplitude in AMPLITUDES:
        for kind in KINDS:
            spectra = simulate(each, 5000 + int(10 * amplitude), {kind: each}, amplitude)
            odd[amplitude, kind] = sample(model, spectra)
    return Stars(sample(model, simulate(SIMULATED, 1000)), odd)


def own_stars(learned: Learned, seed: int) -> Spectra:
    "Stars of the survey to calibrate with, the last ones odd"
    odd = [survey.stars(learned, 1, 100 + k, kind, 1.) for k, kind in enumerate(survey.ODD)]
    return concat([survey.stars(learned, SURVEY - len(odd), seed), *odd])


def measured(args) -> Measured:
    "Draw all stars and measure them"
    learned = Learned(args.data)
    model = load_model('apogee-16')
    packaged = Calibration.measure(model, model.recipe(normal_stars(args.packaged, args.data)), None)
    own = own_stars(learned, args.seed)
    adapted = adapt(model, own)
    normal = survey.stars(learned, args.normal, args.seed + 1)
    odd = {(strength, kind): sample(adapted, survey.stars(learned, args.each, args.seed + 2, kind, strength))
           for strength in survey.STRENGTHS for kind in survey.ODD}
    return Measured(
        packaged=packaged,
        injected={kind: rooms.injected(model, packaged, kind, 0) for kind in KINDS},
        calibration=Calibration.measure(adapted, adapted.recipe(own), None),
        survey=Stars(sample(adapted, normal), odd),
        simulated=simulated_stars(model, args.kind),
        seconds=time_of_indicators(adapted, normal[:TIMED]),
    )


# --------------------------------------------------------------------------------------------------------------- parts
Patches = dict[str, Any]  # what names of the room `reference` stand for


def without_features(names: Callable[[list[str]], np.ndarray]) -> Patches:
    "The rule without some of the features"
    learn = rooms.learn
    kept = ~names(feature_names())
    return dict(learn=lambda features, classes: learn(features * kept, classes))


def feature_names() -> list[str]:
    "Names of the features: deviations, and their squares"
    names = indicator_names(APOGEE)
    return [*names, *(f'{name} squared' for name in names)]


def rule_without(*indicators: str) -> Patches:
    "The rule without indicators, and without their squares"
    return without_features(lambda names: np.isin([name.removesuffix(' squared') for name in names], indicators))


def votes_without(*names: str) -> Patches:
    return dict(VOTES={name: NOTHING if name in names else weight for name, weight in rooms.VOTES.items()})


def places_without(*columns: int) -> Patches:
    "Neighbours by fewer coordinates"
    nearest = rooms.nearest


    def of_others(position, among, *args, **options):
        kept = np.ones(position.shape[1], np.float32)
        kept[list(columns)] = 0
        return nearest(position * kept, among * kept, *args, **options)

    return dict(nearest=of_others)


def one_signal(position: Callable = rooms.positions) -> Patches:
    "One S/N in place of three"
    def alike(given: Sample) -> np.ndarray:
        out = position(given)
        out[:, SIGNALS] = out[:, SIGNALS].mean(1, keepdims=True)
        return out

    return dict(positions=alike)


def least_vote() -> Patches:
    "The least of the votes' probabilities in place of the harmonic mean"
    def largest(votes, usual):
        surprises = []
        for name, scores in votes.items():
            floor = -np.log(len(usual[name])) if name == 'mixture' else -np.inf
            surprises.append(-np.maximum(rooms.log_tail(usual[name], scores), floor))
        return np.max(surprises, 0)
    return dict(surprise=largest)


class Alone(rooms.Levels):
    "Surprise that is not compared with that of neighbours"
    @classmethod
    def fit(cls, surprising, rows):
        return cls(surprising.astype(np.float32), np.sort(surprising.astype(np.float32)))

    def log_p(self, surprising, rows):
        return rooms.log_tail(self.relative, surprising)


def in_scatters(surprising: np.ndarray, usual: np.ndarray, rows: np.ndarray) -> np.ndarray:
    "By how many of their scatters a star surprises more than its neighbours"
    near = usual[rows]
    return (surprising - near.mean(1)) / near.std(1)


def parts() -> dict[str, Patches]:
    "What is left out, by name"
    found: dict[str, Patches] = {
        'vote of the rule': votes_without('kinds'),
        'vote of the density': votes_without('mixture'),
        'vote of the farthest indicator': votes_without('farthest'),
        'votes of density and farthest': votes_without('mixture', 'farthest'),
        'half the vote of the rule': dict(VOTES=dict(kinds=.3, mixture=.35, farthest=.35)),
        'harmonic mean (least p instead)': least_vote(),
        'comparison of surprise with neighbours': dict(Levels=Alone),
        'mean of their surprise as its unit (scatter about it)': dict(times_usual=in_scatters),
        'bound by chi-square alone': dict(ALONE=NOTHING),
        'exponential tail (counts)': dict(log_tail=rooms.log_share),
        'latents among coordinates': places_without(*LATENTS),
        'S/N among coordinates': places_without(*SIGNALS),
        'S/N of each detector (one for all)': one_signal(),
        'persistence among coordinates': places_without(PERSISTENCE),
        '100 neighbours (50)': dict(NEIGHBOURS=50),
        '100 neighbours (200)': dict(NEIGHBOURS=200),
        '250 stars a component (500)': dict(STARS_PER_COMPONENT=500, MAX_COMPONENTS=8),
        'clipping of what is usual': dict(clipped=lambda values: values.astype(np.float32)),
        'cross-fitting': dict(cross_fitted=lambda both, own: both.mean(0)),
        'putting outliers aside': dict(CLEANINGS=0),
        'repeating that': dict(CLEANINGS=1),
        'squares': without_features(lambda names: np.array(['squared' in name for name in names])),
        'deviations themselves': without_features(lambda names: np.array(['squared' not in name for name in names])),
        'bound of deviations': dict(LARGEST=1e3),
        'bound of deviations (8)': dict(LARGEST=8.),
        'penalty (five times weaker)': dict(PENALTY=.05),
    }
    for one in usable_on(APOGEE):
        found[f'indicator {one.name}'] = rule_without(*one.columns(APOGEE))
    return found


# ------------------------------------------------------------------------------------------------------------ judging
@dataclass
class Judged:
    "Logarithms of p-values"
    normal: np.ndarray
    odd: dict[tuple[float, str], np.ndarray]


def judged(reference: Reference, stars: Stars) -> Judged:
    def log_p(sample: Sample) -> np.ndarray:
        return reference.judge(sample).log_p

    return Judged(log_p(stars.normal), {key: log_p(some) for key, some in stars.odd.items()})


def both(found: Measured) -> tuple[Judged, Judged]:
    "Stars of the survey, and simulated ones, judged"
    model = replace(load_model('apogee-16'), reference=None)
    with patch.object(rooms, 'injected', lambda model, normal, kind, seed: found.injected[kind]):
        own, _ = rooms.fit_reference(model, found.packaged, KINDS, 0)
    with (patch.object(rooms, 'rule_for', lambda *args: (own.rule, own.kinds)),
          patch.object(Calibration, 'measure', lambda *args: found.calibration)):
        of_survey = Reference.fit(model, found.calibration.ready, None, KINDS)
    return judged(of_survey, found.survey), judged(own, found.simulated)


# ------------------------------------------------------------------------------------------------------------- figures
def placements(normal: np.ndarray, odd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    "Share of the normal stars that each odd star outranks (M,), and of the odd ones that outrank each normal star (N,)"
    n, m = len(normal), len(odd)
    together = rankdata(np.r_[normal, odd])
    return (together[n:] - rankdata(odd)) / n, 1 - (together[:n] - rankdata(normal)) / m


def areas(found: Judged) -> dict[tuple[float, str], tuple[np.ndarray, np.ndarray]]:
    return {key: placements(-found.normal, -odd) for key, odd in found.odd.items()}


def change(now: dict, before: dict) -> pd.DataFrame:
    "Difference of area and its error, by strength and kind, and over all kinds of a strength"
    rows = []
    for strength in sorted({strength for strength, _ in before}):
        kinds = [kind for s, kind in before if s == strength]
        of_odd = {kind: now[strength, kind][0] - before[strength, kind][0] for kind in kinds}
        of_normal = {kind: now[strength, kind][1] - before[strength, kind][1] for kind in kinds}
        variance = {kind: x.var() / len(x) for kind, x in of_odd.items()}
        for kind in kinds:
            error = np.sqrt(variance[kind] + of_normal[kind].var() / len(of_normal[kind]))
            rows.append((strength, kind, of_odd[kind].mean(), error))
        mean = np.mean(list(of_normal.values()), 0)
        error = np.sqrt(sum(variance.values()) / len(kinds)**2 + mean.var() / len(mean))
        rows.append((strength, 'mean', np.mean([x.mean() for x in of_odd.values()]), error))
    return pd.DataFrame(rows, columns=['strength', 'kind', 'change', 'error'])


def calibration_of(found: Judged) -> dict[str, float]:
    p = np.exp(found.normal)
    return {'KS': float(kstest(p, 'uniform').statistic), 'below .01': float((p < .01).mean())}


def signed(change: float, error: float) -> str:
    return f'{change:+.3f} ± {error:.3f}'


def row_of(changes: list[pd.DataFrame], now: tuple[Judged, Judged], seconds: float) -> dict[str, str]:
    "One line of the table"
    row = {}
    for where, table, judged_now in zip(('survey', 'simulated'), changes, now):
        for one in table[table.kind == 'mean'].itertuples():
            row[f'{where} {one.strength:g}'] = signed(one.change, one.error)
        single = table[table.kind != 'mean']
        for name, at in (('loses most', single.change.idxmin()), ('gains most', single.change.idxmax())):
            one = single.loc[at]
            row[f'{where} {name}'] = f'{one.kind} {one.strength:g}: {signed(one.change, one.error)}'
        row |= {f'{where} {name}': f'{value:.3f}' for name, value in calibration_of(judged_now).items()}
    return row | {'s': f'{seconds:.0f}'}


def line(cells) -> None:
    print('| ' + ' | '.join(map(str, cells)) + ' |', flush=True)


def kept(args) -> Measured:
    "What has been measured, in the file if there is one"
    if args.keep and args.keep.exists():
        return pickle.loads(args.keep.read_bytes())
    found = measured(args)
    if args.keep:
        args.keep.write_bytes(pickle.dumps(found))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path('../shared/data/real'))
    parser.add_argument('--normal', type=int, default=2000)
    parser.add_argument('--each', type=int, default=300, help='odd stars of the survey, of a kind and strength')
    parser.add_argument('--kind', type=int, default=60, help='the same of simulated stars')
    parser.add_argument('--packaged', type=int, default=6000, help='normal stars of the packaged model')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', nargs='+', default=[''], help='parts whose name begins like this')
    parser.add_argument('--keep', type=Path)
    args = parser.parse_args()
    found = kept(args)
    print('Seconds per 1,000 stars:', {name: round(s, 2) for name, s in found.seconds.items()}, flush=True)
    whole = both(found)
    before = [areas(judged_now) for judged_now in whole]
    for where, table, judged_now in zip(('survey', 'simulated'), before, whole):
        print(f'\nArea by kind, {where}', calibration_of(judged_now))
        print(pd.Series({key: x[0].mean() for key, x in table.items()}).unstack(0).round(3).to_string(), flush=True)
    print()
    headed = False
    for name, patches in parts().items():
        if not name.startswith(tuple(args.only)):
            continue
        start = time.perf_counter()
        with patch.multiple(rooms, **patches):
            now = both(found)
        changes = [change(areas(judged_now), table) for judged_now, table in zip(now, before)]
        row = row_of(changes, now, time.perf_counter() - start)
        if not headed:
            line(['without', *row])
            line(['---'] * (len(row) + 1))
            headed = True
        line([name, *row.values()])


if __name__ == '__main__':
    main()
