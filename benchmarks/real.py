"""How the package does on real stars: scores, labels and types, spectra one by one, and the simulator itself.

    python benchmarks/real.py [--model NAME_OR_FOLDER ...] [--data ../shared/data/real]
                              [--only scores spectra simulator] [--before benchmarks/real_before.md]
                              [--giants 500] [--dwarfs 500] [--seed 0]

Every aim is a line with its figure beside it; figures that miss their aim are in bold. Several models stand side by
side. `before` is what an older version of the package printed when it ran this script; its output is read from a file.

*Reproduced* are figures from stars drawn from models that others learned from real spectra (The Cannon from 1,801
giants of DR10, a network from dwarfs). The simulator is calibrated on the same two models, with other labels: they
show that it reproduces them. The scatter of real stars beyond four labels was measured in giants only: dwarfs are
drawn with it and without. M and L dwarfs are reproduced too, where the simulator was learned from them. *Held out*
are figures from real spectra in no fit. Nothing is written.
"""
import argparse
import gzip
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.stats import kstest

from stellar_gen.anomaly import flag, score
from stellar_gen.classify import classify
from stellar_gen.data import (
    APOGEE,
    APOGEE_PIXMASK,
    APOGEE_WAVE,
    BAD_PIXELS,
    C_KMS,
    CHIPS,
    Spectra,
    concat,
    read_spectrum,
    sample_spectra,
)
from stellar_gen.preprocess import Recipe, air_to_vacuum
from stellar_gen.simulate import PIXEL_KMS, in_grid, synthesize
from stellar_gen.train import load_model, packaged_models, reconstruct


def room(name: str) -> ModuleType | None:
    "A module of the package; None in versions that have none of this name"
    return import_module(name) if find_spec(name) else None


CALIBRATION = room('stellar_gen.simulate.calibration')  # corrects the models by real stars
COOL_DWARFS = room('stellar_gen.simulate.cool')         # draws M and L dwarfs as real ones are

HERE = Path(__file__).parent
REPRODUCED, HELD_OUT = 'reproduced', 'held out'


# ------------------------------------------------------------------------------------------------ figures, aims, tables
class Aim(NamedTuple):
    "Between which values a figure should lie"
    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        if np.isinf(self.low):
            return f'at most {self.high:g}'
        if np.isinf(self.high):
            return f'at least {self.low:g}'
        if self.low == self.high:
            return f'{self.low:g}'
        if self.low == -self.high:
            return f'within {self.high:g}'
        return f'{self.low:g} to {self.high:g}'

    def met(self, value: float) -> bool:
        "Whether a value lies between them; NaN does not"
        return bool(self.low <= value <= self.high)


def at_most(value: float) -> Aim:
    return Aim(high=value)


def at_least(value: float) -> Aim:
    return Aim(low=value)


def within(value: float) -> Aim:
    return Aim(-value, value)


def exactly(value: float) -> Aim:
    return Aim(value, value)


class Figure(NamedTuple):
    "One line of the tables: a number, several (by detector or S/N), or a text"
    name: str
    value: float | str | tuple[float, ...]
    basis: str                             # `REPRODUCED` or `HELD_OUT`
    aim: tuple[Aim, ...] = ()              # One for all numbers, one for each, or none
    digits: int = 3                        # Decimals that are printed

    @property
    def numbers(self) -> tuple[float, ...]:
        "The numbers; none for a text"
        if isinstance(self.value, str):
            return ()
        return tuple(np.atleast_1d(self.value).tolist())

    @property
    def aim_text(self) -> str:
        "The aim in words"
        if not self.aim:
            return ''
        if all(np.isinf(aim.low) for aim in self.aim):
            return 'at most ' + ', '.join(f'{aim.high:g}' for aim in self.aim)
        return ', '.join(map(str, self.aim))

    @property
    def text(self) -> str:
        "What is printed, in bold if it misses its aim"
        if isinstance(self.value, str):
            return self.value
        text = ', '.join(f'{number:,.{self.digits}f}' for number in self.numbers)
        aims = self.aim * len(self.numbers) if len(self.aim) == 1 else self.aim
        missed = not all(aim.met(number) for aim, number in zip(aims, self.numbers))
        return f'**{text}**' if missed else text


Columns = dict[str, list[Figure]]  # figures by the name of the column: `before`, or a model's name


def print_rows(head: list[str], rows: list[list[str]]) -> None:
    "Print a Markdown table"
    print('| ' + ' | '.join(head) + ' |')
    print('|' + '---|' * len(head))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')
    print(flush=True)


def print_figures(title: str, columns: Columns) -> None:
    "Print figures of the same names side by side: first what is reproduced, then what was held out"
    print(f'\n## {title}\n')
    found = {(figure.basis, column, figure.name): figure.text for column in columns for figure in columns[column]}
    pairs = [(basis, column) for basis in (REPRODUCED, HELD_OUT) for column in columns
             if any(key[:2] == (basis, column) for key in found)]
    last = list(columns)[-1]
    rows = []
    for figure in columns[last]:
        cells = [found.get((*pair, figure.name), '') for pair in pairs]
        rows.append([figure.name, figure.aim_text, *cells])
    print_rows(['figure', 'aim', *(f'{basis}: {column}' for basis, column in pairs)], rows)


def figures_of(text: str) -> dict[str, list[Figure]]:
    "Figures, as texts, by title, out of what this script has printed; of several models the first"
    found: dict[str, list[Figure]] = {}
    for title, body in re.findall(r'^## (.+)\n((?:(?!#).*\n)*)', text, re.M):
        lines = [line.strip('|') for line in body.splitlines() if line.startswith('|')]
        rows = [[cell.strip() for cell in line.split('|')] for line in lines]
        if not rows or rows[0][:2] != ['figure', 'aim']:
            continue
        bases = [head.split(':')[0] for head in rows[0]]
        found[title] = []
        for basis in (REPRODUCED, HELD_OUT):
            if basis in bases:
                at = bases.index(basis)
                found[title] += [Figure(row[0], row[at].strip('*'), basis) for row in rows[2:] if row[at]]
    return found


# ------------------------------------------------------------------------- models that others learned from real spectra
N_PIXELS = len(APOGEE_WAVE)
SIMULATED_VMACRO = 2.5      # km/s, the broadening at which the simulator is compared with both
NETWORK_VMACRO = 5.         # km/s, as it enters the network of the dwarfs
GIANT_C_FE = -.1            # dex, of giants after the first dredge-up
GIANT_N_FE = .2             # dex, likewise
MANGANESE_SLOPE = .2        # dex of [Mn/Fe] for each dex of [Fe/H]
ALPHA_ELEMENTS = ('o', 'mg', 'si', 's', 'ca', 'ti')
LABELS = ['teff', 'logg', 'fe_h', 'alpha_m']  # K, dex, dex, dex; [Mg/Fe] for alpha_m in dwarfs


def quadratic(x: np.ndarray) -> np.ndarray:
    "1, labels (N,4) and their ten products (N,15)"
    first, second = np.triu_indices(x.shape[1])
    return np.concatenate([np.ones((len(x), 1)), x, x[:, first] * x[:, second]], 1)


def simulator_labels(
    labels: np.ndarray,  # `LABELS` (N,4)
    giants: bool,        # Giants, whose carbon and nitrogen have changed
) -> pd.DataFrame:
    "Labels as the simulator wants them"
    table = pd.DataFrame(labels, columns=LABELS)
    table['vmacro'] = SIMULATED_VMACRO
    table['c_fe'] = GIANT_C_FE if giants else 0.
    table['n_fe'] = GIANT_N_FE if giants else 0.
    table['mn_fe'] = MANGANESE_SLOPE * table.fe_h
    for element in ALPHA_ELEMENTS:
        table[f'{element}_fe'] = table.alpha_m
    return table


class Learned:
    "Normalized real-like spectra on 7,214 pixels, from labels; their scatter, and the labels of real stars"

    def __init__(self, folder: Path):
        with np.load(folder/'giants_cannon_dr10.npz') as cannon:
            self.pixels = cannon['pixels']            # (M,), numbers on the grid
            self.scatter = cannon['scatter']          # (M,), of the flux, beyond four labels
            self.labels = cannon['labels']            # (1801,4)
            self._baseline = cannon['baseline']
            self._coefficients = cannon['coefficients']
        with np.load(folder/'dwarfs_network.npz') as network:
            self._network = dict(network)

    def giants(self, labels: np.ndarray) -> np.ndarray:
        "Spectra (N,M) of giants with labels (N,4)"
        return quadratic(labels - self._baseline) @ self._coefficients

    def dwarfs(self, labels: np.ndarray) -> np.ndarray:
        "Spectra (N,M) of dwarfs with labels (N,4)"
        w = self._network
        told = np.c_[labels, np.full(len(labels), NETWORK_VMACRO)]
        scaled = (told - w['x_min']) / (w['x_max'] - w['x_min']) - .5          # (N,5)
        flux = np.empty((len(labels), len(self.pixels)))
        for row, x in enumerate(scaled):
            hidden = w['w_array_0'] @ x + w['b_array_0']                       # (M,5)
            flux[row] = (w['w_array_1'] / (1 + np.exp(-hidden))).sum(1) + w['b_array_1']
        return flux

    def of(self, labels: np.ndarray, giants: bool) -> np.ndarray:
        "Spectra (N,M) of giants or of dwarfs"
        return self.giants(labels) if giants else self.dwarfs(labels)


def fitted_giants(n: int) -> np.ndarray:
    "Which of the giants (n,) have lent their labels to the calibration"
    asset = files('stellar_gen')/'assets'/'calibration.npz'
    if asset.is_file():
        with asset.open('rb') as file, np.load(file, allow_pickle=False) as saved:
            if 'fitted' in saved:
                return saved['fitted'].astype(bool)
    fitted = np.zeros(n, bool)
    fitted[np.random.default_rng(2).permutation(n)[:n//2]] = True
    return fitted


def dwarf_labels(n: int, rng: np.random.Generator) -> np.ndarray:
    "Labels (n,4) of dwarfs on the main sequence, where the network was learned"
    teff = rng.uniform(4220, 6950, n)
    logg = 4.62 - .2 * (teff - 4500) / 1500 + rng.normal(0, .12, n)
    fe_h = rng.uniform(-.75, .35, n)
    mg_fe = .05 - .2 * fe_h + rng.normal(0, .08, n)
    return np.stack([teff, logg.clip(4.02, 4.95), fe_h, mg_fe.clip(-.25, .45)], 1)


# ---------------------------------------------------------------------------------------------------- spectra of them
LSF_SIGMA = C_KMS / APOGEE.resolution / np.sqrt(8 * np.log(2)) / PIXEL_KMS  # pixels
COUNTS = 1000.            # flux of the continuum, in the file's units
RESPONSE = (.15, .08, .04)  # of the continuum: scatter of the Chebyshev coefficients 1, 2, 3 on each detector
BAD_SHARE = .01           # of the pixels
SNR_MEDIAN, SNR_SPREAD = 110., .45  # lognormal
SNR_RANGE = (50, 250)
SNR_BINS = ((50, 80), (80, 125), (125, 251))


def structure(n: int, rng: np.random.Generator) -> np.ndarray:
    "Random spectral structure (n,8575) of mean 0 and scatter 1, as sharp as the spectrograph"
    white = rng.normal(size=(n, N_PIXELS))
    return gaussian_filter1d(white, LSF_SIGMA) * np.sqrt(2 * np.sqrt(np.pi) * LSF_SIGMA)


def responses(n: int, rng: np.random.Generator) -> np.ndarray:
    "Smooth continua (n,8575), another on each detector"
    out = np.full((n, N_PIXELS), COUNTS)
    for pixels in CHIPS.values():
        coefficients = rng.normal(0, (0, *RESPONSE), (n, len(RESPONSE) + 1))
        along = np.linspace(-1, 1, pixels.stop - pixels.start)
        out[:, pixels] *= np.exp(np.polynomial.chebyshev.chebval(along, coefficients.T))
    return out


class Observed(NamedTuple):
    "Real-like stars as they are observed, and what is true of them"
    spectra: Spectra
    labels: np.ndarray   # (N,4)
    snr: np.ndarray      # (N,)
    perfect: np.ndarray  # (N,), chi-square per pixel of a model that knows the labels' flux, but not the scatter
    giants: bool


def observed(
    learned: Learned,
    labels: np.ndarray,         # (N,4)
    giants: bool,
    rng: np.random.Generator,
    scatter: float = 1.,        # How much of the giants' scatter the stars have
) -> Observed:
    "Spectra of real-like stars with correlated scatter, a response, white noise and bad pixels"
    n = len(labels)
    pixels = learned.pixels
    level = responses(n, rng)[:, pixels]                                      # (N,M)
    flux = learned.of(labels, giants)                                         # (N,M)
    snr = np.exp(rng.normal(np.log(SNR_MEDIAN), SNR_SPREAD, n)).clip(*SNR_RANGE)
    error = level / snr[:, None]                                              # (N,M)
    true = flux + scatter * learned.scatter * structure(n, rng)[:, pixels]    # (N,M)
    seen = level * true + error * rng.normal(size=flux.shape)
    good = rng.random(flux.shape) > BAD_SHARE                                 # (N,M)
    off = np.where(good, (seen - level * flux) / error, 0)
    spectra = Spectra(
        APOGEE,
        on_grid(np.where(good, seen, 0), pixels, np.float32),
        on_grid(1 / error**2, pixels, np.float32),
        on_grid(np.where(good, 0, int(APOGEE_PIXMASK.BADPIX)), pixels, np.int32),
        pd.DataFrame(dict(apogee_id=[f'real-like {i}' for i in range(n)])),
    )
    return Observed(spectra, labels, snr, (off**2).sum(1) / good.sum(1), giants)


def on_grid(values: np.ndarray, pixels: np.ndarray, dtype: type = float, elsewhere: float = 0) -> np.ndarray:
    "Values (...,M) on all pixels (...,8575)"
    out = np.full((*values.shape[:-1], N_PIXELS), elsewhere, dtype)
    out[..., pixels] = values
    return out


# -------------------------------------------------------------------------------------------- scores of real-like stars
LACKING = (15236., 15463.5, 15544., 15698., 16050.)  # Å, where the first packaged model found real giants odd
NEAR = 2.                                            # Å
BIAS = dict(teff=40., logg=.08, fe_h=.04)            # aims, of giants
PULL = Aim(.8, 1.3)
UNITS = dict(teff='Teff (K)', logg='log g', fe_h='[Fe/H]', alpha_m='[alpha/M]')
DECIMALS = dict(teff=0, logg=3, fe_h=3, alpha_m=3)


def width(values: np.ndarray) -> float:
    "Half the distance of the 16th and the 84th percentile"
    return float(np.diff(np.nanpercentile(values, (16, 84)))[0] / 2)


def by_snr(stars: Observed, ratio: Callable[[np.ndarray], float]) -> tuple[float, ...]:
    "A figure of the stars in each bin of S/N"
    return tuple(ratio((stars.snr >= low) & (stars.snr < high)) for low, high in SNR_BINS)


def scattered_chi2(model, stars: Observed) -> np.ndarray:
    "Chi-square per pixel (N,) with the model's own scatter added to the error bars"
    scatter = model.net.scatter
    scatter = scatter if isinstance(scatter, float) else scatter.detach().cpu().numpy()
    ready, drawn, _ = reconstruct(model, stars.spectra)
    weight = ready.ivar / (1 + ready.ivar * scatter**2)
    return (weight * (ready.flux - drawn)**2).sum(1) / (ready.ivar > 0).sum(1)


def names_lacking(reason: str) -> bool:
    "Whether a reason rests on a line that the first simulator lacked"
    waves = [float(word.replace(',', '')) for word in re.findall(r'\b1[5-7],?\d{3}(?:\.\d+)?', str(reason))]
    return any(abs(wave - line) < NEAR for wave in waves for line in LACKING)


def anomaly_figures(model, stars: Observed, who: str) -> Iterator[Figure]:
    "How odd real-like stars are said to be"
    table = score(model, stars.spectra, fdr=1, explain=.01)  # all flagged, so that each of the odd keeps its kind
    chi2 = table.chi2.to_numpy()
    scattered = scattered_chi2(model, stars)
    odd = table[table.p_value < .01]
    wrong = odd.kind[odd.kind != '']
    ratio = by_snr(stars, lambda some: chi2[some].mean() / stars.perfect[some].mean())
    perfect = by_snr(stars, lambda some: stars.perfect[some].mean())
    own = by_snr(stars, lambda some: scattered[some].mean())
    distance = kstest(table.p_value.dropna(), 'uniform').statistic
    yield Figure(f'{who}: share with p < 0.01', len(odd) / len(table), REPRODUCED, (at_most(.03),))
    yield Figure(f'{who}: distance of p from uniform (Kolmogorov-Smirnov)', distance, REPRODUCED, (at_most(.1),))
    yield Figure(f'{who}: share flagged', flag(table.p_value).mean(), REPRODUCED)
    yield Figure(f'{who}: chi2 of a perfect model, by S/N', perfect, REPRODUCED, (), 2)
    yield Figure(f'{who}: chi2 over a perfect model\'s, by S/N', ratio, REPRODUCED, (at_most(1.15),), 2)
    yield Figure(f'{who}: chi2 with the model\'s own scatter, by S/N', own, REPRODUCED, (Aim(.85, 1.15),), 2)
    yield Figure(f'{who}: share of the odd with a wrong kind', len(wrong) / max(len(odd), 1), REPRODUCED)
    yield Figure(f'{who}: most frequent wrong kind', wrong.mode().get(0, 'none'), REPRODUCED)
    lacking = table.reason.map(names_lacking).mean()
    yield Figure(f'{who}: share with a reason at five lines once lacking', lacking, REPRODUCED)


def silent(table: pd.DataFrame) -> np.ndarray:
    "Which stars get no temperature (N,)"
    return table.teff.isna().to_numpy()


def label_figures(model, stars: Observed, who: str) -> Iterator[Figure]:
    "How well their labels are read"
    table = classify(model, stars.spectra)
    yield Figure(f'{who}: share without labels', silent(table).mean(), REPRODUCED)
    for label, truth in zip(LABELS, stars.labels.T):
        if label not in table:
            continue
        off = (table[label] - truth).to_numpy()
        aim = (within(BIAS[label]),) if stars.giants and label in BIAS else ()
        yield Figure(f'{who}: bias of {UNITS[label]}', np.nanmean(off), REPRODUCED, aim, DECIMALS[label])
        pull = width(off / table[f'e_{label}'].to_numpy())
        yield Figure(f'{who}: width of the pulls of {UNITS[label]}', pull, REPRODUCED, (PULL,), 2)
    if stars.giants:
        return
    teff = stars.labels[:, 0]
    off = (table.teff - teff).to_numpy()
    for centre in (4400, 6200):
        bias = np.nanmean(off[np.abs(teff - centre) < 200])
        yield Figure(f'{who}: bias of Teff (K) at {centre:,} K', bias, REPRODUCED, (), 0)


def score_figures(model, args, learned: Learned) -> list[Figure]:
    "Figures of real-like giants and dwarfs"
    rng = np.random.default_rng(args.seed)
    others = learned.labels[~fitted_giants(len(learned.labels))]
    giants = observed(learned, rng.permutation(others)[:args.giants], True, rng)
    dwarfs = observed(learned, dwarf_labels(args.dwarfs, rng), False, rng)
    found: list[Figure] = []
    for who, stars in (('giants', giants), ('dwarfs', dwarfs)):
        found += anomaly_figures(model, stars, who)
        found += label_figures(model, stars, who)
    bare = observed(learned, dwarf_labels(args.dwarfs, rng), False, rng, scatter=0)
    found += anomaly_figures(model, bare, 'dwarfs without scatter')
    return found


# ------------------------------------------------------------------------------------------------------- real spectra
ARCTURUS = np.array([4286., 1.66, -.52, .25])  # published labels
ARCTURUS_FE_H_DR10 = -.41                      # dex, on the label scale of DR10
ARCTURUS_ABUNDANCES = dict(                    # dex, published [X/Fe]
    c=.43, n=0., o=.50, na=.11, mg=.37, al=.34, si=.33, k=.20, ca=.11, ti=.27, v=.20, cr=-.05, mn=-.21, co=.09, ni=.06)
ARCTURUS_KMS = 14.                             # km/s, velocity of the atlas
ARCTURUS_AIMS = dict(teff=80., logg=.2, fe_h=.12)
ARCTURUS_SNR = 200.
FAINTER = (200., 100., 50.)                    # S/N at which the stated errors of Arcturus are compared
STEPS_A_PIXEL = 8                              # of the atlas, before it is blurred
NO_ERROR = 1e9                                 # error bars beyond it mean no information
KNOWN = {                                      # letter of the spectral type, by name
    'K giant of DR13': 'K',                    # 2M00005143+5615568, 4,500 K
    'cool giant of DR17': 'M',                 # 2M17335483-2753043, 3,677 K
    'K dwarf of DR17': 'K',                    # 2M19485057+5005279, 5,226 K
    'K dwarf of DR17, defect masked': 'K',     # half its light lacks in 9 pixels without a flag
}
DEFECT = slice(640, 652)                       # pixels, 15,235 to 15,237 Å
KINDS = dict(cauldron='eclipsing binary', jbirky_apogee_tools='M or L dwarf', peraktong='K giant')  # by source


def arcturus_flux(folder: Path) -> np.ndarray:
    "The atlas of Arcturus (8575,) in its rest frame, as blurred as an APOGEE spectrum; NaN beyond its ends"
    with gzip.open(folder/'arcturus_atlas_hband.txt.gz') as file:
        air, flux = np.loadtxt(file, unpack=True)[:2]
    rest = air_to_vacuum(air) / (1 + ARCTURUS_KMS / C_KMS)
    fine = np.interp(np.arange(N_PIXELS * STEPS_A_PIXEL) / STEPS_A_PIXEL, np.arange(N_PIXELS), np.log(APOGEE_WAVE))
    blurred = gaussian_filter1d(np.interp(np.exp(fine), rest, flux), LSF_SIGMA * STEPS_A_PIXEL)[::STEPS_A_PIXEL]
    return np.where((APOGEE_WAVE > rest[0]) & (APOGEE_WAVE < rest[-1]), blurred, np.nan)


def arcturus(folder: Path, rng: np.random.Generator, snr: float = ARCTURUS_SNR) -> Spectra:
    "Arcturus, observed at a S/N"
    flux = arcturus_flux(folder)
    known = np.isfinite(flux)
    seen = np.where(known, flux + rng.normal(0, 1 / snr, N_PIXELS), 0)
    ivar = np.where(known, snr**2, 0)
    meta = pd.DataFrame(dict(apogee_id=['Arcturus']))
    unflagged = np.zeros((1, N_PIXELS), np.int32)
    return Spectra(APOGEE, seen[None].astype(np.float32), ivar[None].astype(np.float32), unflagged, meta)


def dr13_giant(folder: Path) -> Spectra:
    "The K giant of DR13 as its file has it"
    path, = (folder/'files').glob('apStar-r6-*')
    return read_spectrum(path)


def table_of_spectra(folder: Path, name: str) -> Spectra:
    "One of the tables of real spectra, with `kind` and `name` in `meta`"
    with np.load(folder/f'{name}.npz') as arrays:
        flux, error = arrays['flux'], arrays['err']
        mask = arrays['mask'] if 'mask' in arrays else None
    known = np.isfinite(flux) & np.isfinite(error) & (error > 0) & (error < NO_ERROR) & (flux > 0)
    ivar = np.where(known, 1 / np.where(known, error, 1)**2, 0).astype(np.float32)
    meta = pd.read_csv(folder/f'{name}.csv')
    source = meta.source if 'source' in meta else pd.Series('jbirky_apogee_tools', meta.index)
    told = pd.DataFrame(dict(apogee_id=meta.apogee_id, kind=source.map(KINDS), table=name))
    if mask is None:
        told['filetype'] = 'aspcapStar'
    return Spectra(APOGEE, np.where(known, flux, 0).astype(np.float32), ivar, mask, told)


def letters(table: pd.DataFrame) -> np.ndarray:
    "Letters of the spectral types (N,); '' where there is none"
    return table.type.str[:1].to_numpy()


def read_by(model, spectra: Spectra) -> pd.DataFrame:
    "What the model says of spectra: scores, types, labels and reasons, one row a spectrum"
    scored = score(model, spectra, explain=1.)
    said = classify(model, spectra)
    columns = [name for name in said if name not in scored and name != 'reason']
    both = scored.join(said[columns]).assign(why_no_label=said.reason)
    texts = ['kind', 'reason', 'type', 'why_no_label']
    return both.assign(**both[texts].fillna('').astype(str))


def named_stars(folder: Path, rng: np.random.Generator) -> dict[str, Spectra]:
    "Single real stars of which something is known, by name"
    samples = sample_spectra()
    dwarf = samples[1:2]
    masked = dwarf.replace(ivar=dwarf.ivar.copy())
    masked.ivar[:, DEFECT] = 0
    return {
        'Arcturus': arcturus(folder, rng),
        'K giant of DR13': dr13_giant(folder),
        'cool giant of DR17': samples[:1],
        'K dwarf of DR17': dwarf,
        'K dwarf of DR17, defect masked': masked,
    }


def arcturus_figures(row: pd.Series) -> Iterator[Figure]:
    "Labels of Arcturus less the published ones"
    for label, truth in zip(LABELS, ARCTURUS):
        if label not in row:
            continue
        off = row[label] - truth
        aim = (within(ARCTURUS_AIMS[label]),) if label in ARCTURUS_AIMS else ()
        name = f'Arcturus: {UNITS[label]} less {truth:g}'
        yield Figure(name, off, HELD_OUT, aim, DECIMALS[label])
        yield Figure(f'{name}, in stated errors', off / row[f'e_{label}'], HELD_OUT, (within(2),) if aim else (), 1)
    off = row.fe_h - ARCTURUS_FE_H_DR10
    yield Figure(f'Arcturus: [Fe/H] less {ARCTURUS_FE_H_DR10:g}, as on the scale of DR10', off, HELD_OUT)


def error_figures(fainter: pd.DataFrame) -> Iterator[Figure]:
    "Stated errors of Arcturus' temperature, which should not shrink as S/N falls"
    error = fainter.e_teff.to_numpy(float)
    bright, *others = (f'{snr:g}' for snr in FAINTER)
    name = f'Arcturus: stated error of Teff (K) at S/N {", ".join([bright, *others])}'
    yield Figure(name, tuple(error), HELD_OUT, (), 0)
    name = f'Arcturus: stated error of Teff at S/N {", ".join(others)} over that at {bright}'
    yield Figure(name, tuple(error[1:] / error[0]), HELD_OUT, (at_least(1),), 2)


def named_figures(table: pd.DataFrame) -> Iterator[Figure]:
    "Oddness and type of the single stars"
    for name, row in table.iterrows():
        yield Figure(f'{name}: chi2', row.chi2, HELD_OUT, (), 2)
        yield Figure(f'{name}: anomaly (sigma)', row.anomaly, HELD_OUT, (), 1)
        if name in KNOWN:
            yield Figure(f'{name}: flagged', float(row.flag), HELD_OUT, (exactly(0),), 0)
            wrong = float(row.type[:1] != KNOWN[name])
            yield Figure(f'{name}: another letter than {KNOWN[name]}, or none', wrong, HELD_OUT, (exactly(0),), 0)


def binary_figures(table: pd.DataFrame) -> Iterator[Figure]:
    "Types of eclipsing binaries"
    binaries = table[table['of'] == 'eclipsing binary']
    combined = binaries[binaries.table == 'combined']
    pairs = [set(letters(star)) - {''} for _, star in combined.groupby('apogee_id') if len(star) > 1]
    differ = sum(len(said) > 1 for said in pairs)
    yield Figure(f'pairs of spectra of one binary ({len(pairs)}): with two letters', differ, HELD_OUT, (exactly(0),), 0)
    hot = int(np.isin(letters(combined), ['O', 'B']).sum())
    yield Figure(f'combined spectra of binaries ({len(combined)}): called O or B', hot, HELD_OUT, (exactly(0),), 0)
    single = binaries[binaries.table == 'visits']
    hot = int(np.isin(letters(single), ['O', 'B']).sum())
    yield Figure(f'visits of binaries ({len(single)}): called O or B', hot, HELD_OUT, (), 0)


def dwarf_figures(table: pd.DataFrame) -> Iterator[Figure]:
    "Types of M and L dwarfs"
    basis = REPRODUCED if COOL_DWARFS else HELD_OUT
    dwarfs = table[table['of'] == 'M or L dwarf']
    letter = letters(dwarfs)
    who = f'spectra of M and L dwarfs ({len(dwarfs)})'
    hot = int(np.isin(letter, list('OBAF')).sum())
    yield Figure(f'{who}: called O, B, A or F', hot, basis, (exactly(0),), 0)
    yield Figure(f'{who}: called G or K', int(np.isin(letter, list('GK')).sum()), basis, (), 0)
    yield Figure(f'{who}: called M or L', int(np.isin(letter, list('ML')).sum()), basis, (), 0)
    yield Figure(f'{who}: without a type', int((letter == '').sum()), basis, (), 0)
    yield Figure(f'{who}: median chi2', dwarfs.chi2.median(), basis, (), 1)
    yield Figure(f'{who}: share flagged', dwarfs.flag.mean(), basis)


def listed(row: pd.Series) -> list[str]:
    "Cells of a real spectrum in the list"
    reason = row.reason if row.type else f'{row.reason}; no type: {row.why_no_label}'
    numbers = [f'{row.snr:.0f}', f'{row.chi2:.1f}', f'{row.anomaly:.1f}', f'{row.p_value:.1e}']
    return [row['name'], row['of'], row.table, *numbers, row.kind, row.type, reason.replace('|', '/')]


def print_spectra(name: str, table: pd.DataFrame) -> None:
    "List what a model says of each real spectrum"
    print(f'\n### Each real spectrum, by {name}\n')
    head = ['star', 'is', 'from', 'S/N', 'chi2', 'sigma', 'p', 'kind', 'type', 'reason']
    print_rows(head, [listed(row) for _, row in table.iterrows()])


def spectra_figures(model, args) -> tuple[list[Figure], pd.DataFrame]:
    "Figures of real spectra, and what is said of each"
    rng = np.random.default_rng(args.seed)
    stars = named_stars(args.data, rng)
    named = read_by(model, concat(list(stars.values()))).set_axis(list(stars))
    fainter = classify(model, concat([arcturus(args.data, rng, snr) for snr in FAINTER]))
    tables = []
    for name in ('combined', 'visits', 'aspcap_m_dwarfs'):
        spectra = table_of_spectra(args.data, name)
        told = dict(of=spectra.meta['kind'].to_numpy(), table=name, name=spectra.meta.apogee_id.to_numpy())
        tables.append(read_by(model, spectra).assign(**told))
    many = pd.concat(tables, ignore_index=True)
    found = [*arcturus_figures(named.loc['Arcturus']), *error_figures(fainter), *named_figures(named)]
    found += [*binary_figures(many), *dwarf_figures(many)]
    single = named.assign(of='', table='', name=named.index)
    return found, pd.concat([single, many], ignore_index=True)


# ------------------------------------------------------------------------------------------ the simulator against real
DEGREE = 4          # of the Chebyshev polynomial that is taken out of each detector
DEEPEST = .02       # of the flux: optical depths stay finite
PIVOT = np.array([4750., 2.5, -.1, .08])  # labels of a usual giant
SCALE = np.array([1000., 1.2, .4, .1])    # how far labels reach
RIDGE = 3e-4        # for each spectrum, of a calibration of the simulator
AT_A_TIME = 128     # stars
PADDING = 420       # pixels that the simulator computes below the grid
EXTREME_SHARE = .1  # of the giants: the coldest, and the poorest
GIANT_AIM = (at_most(.004),)
EXTREME_AIM = (at_most(.009),)
DWARF_AIM = (at_most(.005),)
PUBLISHED_AIMS = (at_most(.010), at_most(.0115), at_most(.0095))
FITTED_AIM = (at_most(.008),)
ABUNDANCE_AIM = (at_most(.012),)
RATIO_AIMS = {'K giant of DR13': (at_most(.45),), 'K dwarf of DR17': (at_most(.68),), 'cool giant of DR17': ()}
STARTS = {          # labels where the fit of each real star begins, and whether it is a giant
    'K giant of DR13': ((4550., 2.4, -.3, .1), True),
    'K dwarf of DR17': ((5150., 4.55, -.2, .05), False),
    'cool giant of DR17': ((3677., .7, -.2, .05), True),
}
STEP = np.array([80., .25, .12, .08, 1.5])  # of the labels and the turbulence (km/s), in a fit
FIRST_STEP = .7                           # of them, of the first simplex
FITTED_LABELS = ' (Teff; log g; [Fe/H]; [alpha/M]; turbulence)'
MOST_CALLS = 300                          # of the simulator, in a fit


class Detectors:
    "The pixels of the learned models by detector, and smooth curves along each"

    def __init__(self, pixels: np.ndarray):
        self.spans = [np.flatnonzero((pixels >= span.start) & (pixels < span.stop)) for span in CHIPS.values()]
        along = [np.linspace(-1, 1, len(span)) for span in self.spans]
        self.curves = [np.polynomial.chebyshev.chebvander(x, DEGREE) for x in along]

    def flattened(self, values: np.ndarray) -> np.ndarray:
        "Values (N,M) without what varies smoothly along a detector"
        out = values.copy()
        for span, curves in zip(self.spans, self.curves):
            basis = np.linalg.qr(curves)[0]
            out[:, span] -= (values[:, span] @ basis) @ basis.T
        return out

    def rms(self, difference: np.ndarray) -> tuple[float, ...]:
        "Root mean square of what is left of a difference (N,M), for each detector"
        left = self.flattened(difference)
        return tuple(float(np.sqrt((left[:, span]**2).mean())) for span in self.spans)

    def rms_scaled(self, drawn: np.ndarray, real: np.ndarray) -> tuple[float, ...]:
        "The same of drawn spectra (N,M) divided by the smooth part of their ratio to real ones"
        left = []
        for span, curves in zip(self.spans, self.curves):
            basis = np.linalg.qr(curves)[0]
            smooth = (drawn[:, span] / real[:, span]) @ basis @ basis.T
            left.append(float(np.sqrt(((drawn[:, span] / smooth - real[:, span])**2).mean())))
        return tuple(left)

    def matched(self, flux: np.ndarray, ivar: np.ndarray, model: np.ndarray) -> np.ndarray:
        "A model (M,) times the smooth curve on each detector that fits an observation (M,) best"
        out = model.copy()
        for span, curves in zip(self.spans, self.curves):
            columns = curves * (model[span] * np.sqrt(ivar[span]))[:, None]
            found = np.linalg.lstsq(columns, flux[span] * np.sqrt(ivar[span]), rcond=None)[0]
            out[span] *= curves @ found
        return out


def simulated(labels: np.ndarray, giants: bool, pixels: np.ndarray, **abundances: float) -> np.ndarray:
    "Simulated spectra (N,M) of labels (N,4), or (N,5) with the turbulence"
    table = simulator_labels(labels[:, :4], giants)
    if labels.shape[1] > 4:
        table['vmacro'] = labels[:, 4]
    return synthesize(table.assign(**abundances))[:, pixels].astype(float)


def depth(flux: np.ndarray) -> np.ndarray:
    "Optical depths of fluxes over the continuum"
    return -np.log(flux.clip(DEEPEST))


class Null:
    "No simulator at all: the flux as a quadratic of four labels"

    def __init__(self, labels: np.ndarray, flux: np.ndarray):
        self.weights = np.linalg.lstsq(self.terms(labels), flux, rcond=None)[0]  # (15,M)

    @staticmethod
    def terms(labels: np.ndarray) -> np.ndarray:
        "Terms (N,15) of labels (N,4)"
        return quadratic((labels - PIVOT) / SCALE)

    def __call__(self, labels: np.ndarray) -> np.ndarray:
        "Spectra (N,M) of labels (N,4)"
        return self.terms(labels) @ self.weights


def simplex_fit(cost: Callable[[np.ndarray], float], start: np.ndarray) -> np.ndarray:
    "Labels (4,) or (5,) of least cost, by Nelder and Mead's simplex"
    size = STEP[:len(start)]
    first = np.concatenate([np.zeros((1, len(start))), FIRST_STEP * np.eye(len(start))])
    options = dict(maxfev=MOST_CALLS, initial_simplex=first)
    found = minimize(lambda steps: cost(start + size * steps), np.zeros(len(start)), method='Nelder-Mead',
                     options=options)
    return start + size * found.x


def with_turbulence(labels: np.ndarray) -> np.ndarray:
    "Labels (4,) and the usual turbulence (5,)"
    return np.append(labels, SIMULATED_VMACRO)


def covered(labels: np.ndarray) -> bool:
    "Whether the simulator has a spectrum of labels (4,) or (5,)"
    return bool(in_grid(pd.DataFrame([labels[:4]], columns=LABELS))[0]) and (labels[4:] >= 0).all()


def arcturus_rms(folder: Path, learned: Learned, detectors: Detectors, null: Null) -> Iterator[Figure]:
    "Arcturus against the simulator: at its published labels, with labels fitted, with its published abundances"
    real = arcturus_flux(folder)[None, learned.pixels]
    if np.isnan(real).any():
        raise ValueError('the atlas of Arcturus does not cover the pixels of the learned models')
    published = ARCTURUS[None]

    def distance(labels: np.ndarray) -> float:
        if not covered(labels):
            return np.inf
        return sum(x**2 for x in detectors.rms(simulated(labels[None], True, learned.pixels) - real))

    plain = detectors.rms(simulated(published, True, learned.pixels) - real)
    fitted = simplex_fit(distance, with_turbulence(ARCTURUS))
    fitted_rms = detectors.rms(simulated(fitted[None], True, learned.pixels) - real)
    abundances = {f'{element}_fe': value for element, value in ARCTURUS_ABUNDANCES.items()}
    peculiar = detectors.rms(simulated(published, True, learned.pixels, **abundances) - real)
    yield Figure('Arcturus: rms, published labels', plain, HELD_OUT, PUBLISHED_AIMS, 4)
    yield Figure('Arcturus: rms, labels fitted', fitted_rms, HELD_OUT, FITTED_AIM, 4)
    yield Figure(f'Arcturus: labels fitted{FITTED_LABELS}', words(fitted), HELD_OUT)
    yield Figure('Arcturus: rms, published abundances', peculiar, HELD_OUT, ABUNDANCE_AIM, 4)
    without = detectors.rms(null(published) - real)
    yield Figure('Arcturus: rms of no simulator, published labels', without, HELD_OUT, (), 4)


def words(labels: np.ndarray) -> str:
    "Labels and turbulence (5,) as a text"
    return f'{labels[0]:,.0f} K; ' + '; '.join(f'{value:.2f}' for value in labels[1:4]) + f'; {labels[4]:.1f} km/s'


def extremes(labels: np.ndarray) -> np.ndarray:
    "Which giants (N,) are among the coldest or the poorest"
    cold = labels[:, 0] < np.quantile(labels[:, 0], EXTREME_SHARE)
    poor = labels[:, 2] < np.quantile(labels[:, 2], EXTREME_SHARE)
    return cold | poor


def corrected(
    labels: np.ndarray,        # Of stars to draw (N,4)
    others: np.ndarray,        # Of giants (n,4) that are fitted, with dwarfs
    dwarfs: np.ndarray,        # Of these (m,4)
    learned: Learned,
    detectors: Detectors,
) -> np.ndarray:               # (N,M)
    "Giants as the simulator would draw them, were it calibrated on other giants"
    def models(four: np.ndarray, giants: bool) -> np.ndarray:
        table = simulator_labels(four, giants)
        parts = [CALIBRATION.usual_flux(table[i:i + AT_A_TIME]) for i in range(0, len(table), AT_A_TIME)]
        return np.concatenate([part[:, learned.pixels + PADDING] for part in parts])

    scaled = (np.r_[others, dwarfs] - PIVOT) / SCALE
    real = depth(np.r_[learned.giants(others), learned.dwarfs(dwarfs)])
    missing = detectors.flattened(real - depth(np.r_[models(others, True), models(dwarfs, False)]))
    terms = CALIBRATION.label_terms(scaled)
    weights = np.linalg.solve(terms.T @ terms + RIDGE * len(terms) * np.eye(terms.shape[1]), terms.T @ missing)
    reached, fade = reach_of((labels - PIVOT) / SCALE, scaled)
    return models(labels, True) * np.exp(-fade[:, None] * (CALIBRATION.label_terms(reached) @ weights))


def reach_of(
    wanted: np.ndarray,            # Scaled labels (N,4) of stars to draw
    fitted: np.ndarray,            # Of stars (n,4) that were fitted
) -> tuple[np.ndarray, np.ndarray]:
    "Labels (N,4) at which the correction is taken, within its reach of fitted stars; and how much of it is left (N,)"
    reach = CALIBRATION.REACH
    distance, nearest = cKDTree(fitted).query(wanted)
    share = np.minimum(1, reach / np.maximum(distance, reach))
    reached = fitted[nearest] + (wanted - fitted[nearest]) * share[:, None]
    fade = np.exp(-((distance - reach).clip(0) / CALIBRATION.FADES)**2)
    return reached, fade


def rms_figures(args, learned: Learned) -> Iterator[Figure]:
    "The simulator against giants, dwarfs and Arcturus at the same labels, by detector"
    pixels = learned.pixels
    detectors = Detectors(pixels)
    rng = np.random.default_rng(args.seed)
    covers = in_grid(simulator_labels(learned.labels, True))
    fitted = fitted_giants(len(learned.labels))
    known = learned.labels[fitted & covers]
    others = learned.labels[~fitted & covers]
    dwarfs = dwarf_labels(args.dwarfs, rng)
    more_dwarfs = dwarf_labels(2 * args.dwarfs, rng)
    giant_null = Null(known, learned.giants(known))
    dwarf_null = Null(more_dwarfs, learned.dwarfs(more_dwarfs))
    sets = (
        ('giants, labels in no fit', others, True, GIANT_AIM),
        ('giants, labels of the fit', known, True, ()),
        ('dwarfs, labels in no fit', dwarfs, False, DWARF_AIM),
    )
    for who, labels, giants, aim in sets:
        real = learned.of(labels, giants)
        drawn = simulated(labels, giants, pixels)
        null = giant_null if giants else dwarf_null
        yield Figure(f'{who}: rms', detectors.rms(drawn - real), REPRODUCED, aim, 4)
        yield Figure(f'{who}: rms, continuum divided out', detectors.rms_scaled(drawn, real), REPRODUCED, (), 4)
        yield Figure(f'{who}: rms of no simulator', detectors.rms(null(labels) - real), REPRODUCED, (), 4)
    if CALIBRATION:
        yield from extreme_figures(learned, known, others, more_dwarfs, detectors)
    yield from arcturus_rms(args.data, learned, detectors, giant_null)


def extreme_figures(learned, known, others, dwarfs, detectors) -> Iterator[Figure]:
    "Coldest and poorest giants, the simulator calibrated on the others"
    labels = others[extremes(others)]
    usual = known[~extremes(known)]
    real = learned.giants(labels)
    drawn = corrected(labels, usual, dwarfs, learned, detectors)
    null = Null(usual, learned.giants(usual))
    who = 'coldest and poorest giants, calibrated on the others'
    yield Figure(f'{who}: rms', detectors.rms(drawn - real), REPRODUCED, EXTREME_AIM, 4)
    yield Figure(f'{who}: rms of no simulator', detectors.rms(null(labels) - real), REPRODUCED, (), 4)


DEFECT_DEPTH = .15  # of the continuum: beyond the learned model's best fit by so much, a pixel is a defect of the data
DEFECT_REACH = 2    # pixels to either side of it


class Prepared(NamedTuple):
    "A real spectrum on the pixels of the learned models (M,)"
    flux: np.ndarray
    ivar: np.ndarray


def prepared(spectrum: Spectra, pixels: np.ndarray) -> Prepared:
    "A real spectrum over its continuum, sky and bad pixels masked; the same preparation in every version"
    steps = [['mask', dict(bad=int(BAD_PIXELS))], ['normalize', dict(method='true')]]
    ready = Recipe(steps)(spectrum)
    return Prepared(ready.flux[0, pixels].astype(float), ready.ivar[0, pixels].astype(float))


def chi2_of(star: Prepared, model: np.ndarray, detectors: Detectors) -> float:
    "Chi-square per pixel of a model (M,), times smooth curves"
    drawn = detectors.matched(star.flux, star.ivar, model)
    return float((star.ivar * (star.flux - drawn)**2).sum() / (star.ivar > 0).sum())


def fitted_chi2(
    star: Prepared,
    spectrum: Callable[[np.ndarray], np.ndarray],  # Of labels (1,4): (1,M)
    start: np.ndarray,                             # Labels (4,), or (5,) with the turbulence
    detectors: Detectors,
) -> tuple[float, np.ndarray]:                     # Chi-square per pixel, and the labels
    "A real star with labels fitted"
    def cost(labels: np.ndarray) -> float:
        if not covered(labels):
            return np.inf
        return chi2_of(star, spectrum(labels[None])[0], detectors)

    labels = simplex_fit(cost, start)
    return cost(labels), labels


def without_defects(
    star: Prepared,
    spectrum: Callable[[np.ndarray], np.ndarray],  # Of the learned model
    start: np.ndarray,                             # Labels (4,)
    detectors: Detectors,
) -> Prepared:
    "A real star without pixels that are far from the learned model, whatever the simulator says there"
    _, labels = fitted_chi2(star, spectrum, start, detectors)
    drawn = detectors.matched(star.flux, star.ivar, spectrum(labels[None])[0])
    far = (star.ivar > 0) & (np.abs(star.flux - drawn) > DEFECT_DEPTH)
    return Prepared(star.flux, np.where(maximum_filter1d(far, 2*DEFECT_REACH + 1), 0, star.ivar))


def fit_figures(args, learned: Learned) -> Iterator[Figure]:
    "Real stars with labels fitted: by the simulator, by the learned model; and what is left but for scatter"
    pixels = learned.pixels
    detectors = Detectors(pixels)
    stars = named_stars(args.data, np.random.default_rng(args.seed))
    for name, (start, giants) in STARTS.items():
        start = np.array(start)
        draw_learned = partial(learned.of, giants=giants)
        star = without_defects(prepared(stars[name], pixels), draw_learned, start, detectors)
        perfect = 1 + (star.ivar * learned.scatter**2).sum() / (star.ivar > 0).sum()
        draw = partial(simulated, giants=giants, pixels=pixels)
        by_simulator = fitted_chi2(star, draw, with_turbulence(start), detectors)
        by_learned = fitted_chi2(star, draw_learned, start, detectors)
        yield Figure(f'{name}: chi2, labels fitted', by_simulator[0], HELD_OUT, (), 2)
        yield Figure(f'{name}: labels fitted{FITTED_LABELS}', words(by_simulator[1]), HELD_OUT)
        yield Figure(f'{name}: chi2 of the learned model, labels fitted', by_learned[0], HELD_OUT, (), 2)
        yield Figure(f'{name}: chi2 of a perfect model but for scatter', perfect, HELD_OUT, (), 2)


def with_ratios(now: list[Figure], before: list[Figure]) -> list[Figure]:
    "Figures, and the chi-square of each real star over what it was before"
    old = {figure.name: figure.value for figure in before}
    out = []
    for figure in now:
        out.append(figure)
        star = figure.name.split(':')[0]
        if figure.name == f'{star}: chi2, labels fitted' and figure.name in old:
            ratio = figure.numbers[0] / float(str(old[figure.name]).replace(',', ''))
            out.append(Figure(f'{star}: chi2, labels fitted, over that before', ratio, HELD_OUT, RATIO_AIMS[star], 2))
    return out


# --------------------------------------------------------------------------------------------------------------- all
SCORES_TITLE = 'Scores and labels of real-like stars'
SPECTRA_TITLE = 'Real spectra, scored and classified'
SIMULATOR_TITLE = 'The simulator against real spectra, at the same labels'
SECTIONS = ('scores', 'spectra', 'simulator')


def before_of(path: Path) -> dict[str, list[Figure]]:
    "Figures of an older version, by title; none without its file"
    return figures_of(path.read_text()) if path.is_file() else {}


def columns_of(title: str, before: dict[str, list[Figure]]) -> Columns:
    "The column of an older version, if it is known"
    return {'before': before[title]} if title in before else {}


def print_sections(args) -> None:
    "Print every section that is asked for"
    start = time.perf_counter()
    learned = Learned(args.data)
    before = before_of(args.before)
    models = {Path(name).name: load_model(name) for name in args.model}
    print('# The package on real stars')
    if 'scores' in args.only:
        found = {name: score_figures(model, args, learned) for name, model in models.items()}
        print_figures(SCORES_TITLE, columns_of(SCORES_TITLE, before) | found)
    if 'spectra' in args.only:
        both = {name: spectra_figures(model, args) for name, model in models.items()}
        found = {name: figures for name, (figures, _) in both.items()}
        print_figures(SPECTRA_TITLE, columns_of(SPECTRA_TITLE, before) | found)
        for name, (_, table) in both.items():
            print_spectra(name, table)
    if 'simulator' in args.only:
        old = columns_of(SIMULATOR_TITLE, before)
        now = [*rms_figures(args, learned), *fit_figures(args, learned)]
        print_figures(SIMULATOR_TITLE, old | {'now': with_ratios(now, old.get('before', []))})
    print(f'{time.perf_counter() - start:.0f} s')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', nargs='+', default=packaged_models()[:1])
    parser.add_argument('--data', type=Path, default=HERE.parent.parent/'shared'/'data'/'real')
    parser.add_argument('--only', nargs='+', choices=SECTIONS, default=SECTIONS)
    parser.add_argument('--before', type=Path, default=HERE/'real_before.md')
    parser.add_argument('--giants', type=int, default=500)
    parser.add_argument('--dwarfs', type=int, default=500)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if not args.data.is_dir():
        parser.error(f'{args.data}: no such folder; name the one with giants_cannon_dr10.npz')
    print_sections(args)


if __name__ == '__main__':
    main()
