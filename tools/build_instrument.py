"""Build `instrument.npz`: what real APOGEE exposures are like, measured from repeated visits of the same stars.

    python tools/build_instrument.py [../shared/data/real]

Sky, telluric lines and resolving powers come from `native_visits.npz` (single visits on detector pixels); noise,
residuals and masks from `visits.npz` (single visits in the rest frame), as differences between visits of one star.
Stars whose visits were used for sky, telluric lines, masks and resolving powers, and, with a `*`, not for noise since
their spectra change (eclipsing binaries):

2M00005143+5615568 2M03122509+0021585 2M03434763+3209025 2M03441583+3159367 2M03442721+3220288 2M05392474+4038437
2M06154934-0100415 2M06521977-2534505 2M07140394+3702459 2M08501918+1056436 2M11194647+0820356 2M12252076+2517082
2M12294016+2619567 2M13564148+4342587 2M14305591+0858023 2M15141711+0044474 2M19241352+3858278* 2M19245882+4714573*
2M19320615+4200049* 2M19373173+4027078* 2M19374558+3822510* 2M19390532+4027346* 2M19432862+3908535*
2M19463571+3919069* 2M19535443+4424541 2M19584983+2031300 2M20041135+4505154 2M22400144+0532162 2M23200703+1150071
TYC_3559-02080-1
"""
import argparse
import re
import sys
from math import factorial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.polynomial import chebyshev, hermite_e, polynomial
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).parent.parent))
from stellar_gen.data import APOGEE, APOGEE_PIXMASK, APOGEE_WAVE, CHIPS

OUT = Path(__file__).parent.parent/'stellar_gen'/'assets'/'instrument.npz'
REAL = Path(__file__).parent.parent.parent/'shared'/'data'/'real'
CHANGING = {name.strip('*') for name in re.findall(r'\S+\*', __doc__)}  # stars whose spectra change from visit to visit

MARGIN = 450               # pixels of the observed frame beyond both ends of the APOGEE grid: 1,860 km/s
LOG_STEP = 6e-6            # of the decimal logarithm of the wavelength, from pixel to pixel
OBSERVED_WAVE = 10**(4.179 + LOG_STEP * np.arange(-MARGIN, len(APOGEE_WAVE) + MARGIN))  # Å
SKY, TELLURIC = (int(APOGEE_PIXMASK[name]) for name in ('SIG_SKYLINE', 'SIG_TELLURIC'))
GHOST = int(APOGEE_PIXMASK.LITTROW_GHOST)
DETECTOR_BITS = 0b11111111 | int(APOGEE_PIXMASK.NOT_ENOUGH_PSF)  # what befalls single pixels
PERSISTENCE_BITS = [int(APOGEE_PIXMASK[f'PERSIST_{name}']) for name in ('HIGH', 'MED', 'LOW')]
PHOTON_SHARE = .8          # of the variance that the light of the star makes; the rest is read-out
NO_ERROR = 1e9             # errors above this say that there is no information
LAGS = 9                   # pixels over which the correlation of noise is measured


def robust(x):
    "Standard deviation of the core of a distribution"
    return 1.4826 * np.median(np.abs(x - np.median(x)))


# ---------------------------------------------------------------- single visits on detector pixels

def observed_frame(real):
    "Sky, transmission and bits of the native visits on the grid of the observed frame, each (N,9475); NaN outside"
    with np.load(real/'native_visits.npz') as native:
        arrays = {name: native[name] for name in ('sky', 'telluric', 'mask', 'wave')}
    n = len(arrays['mask'])
    sky, transmission = np.full((2, n, len(OBSERVED_WAVE)), np.nan)
    bits = np.zeros((n, len(OBSERVED_WAVE)), int)
    for i in range(n):
        for chip in range(3):
            wave = arrays['wave'][i, chip][::-1]
            inside = (OBSERVED_WAVE >= wave[0]) & (OBSERVED_WAVE <= wave[-1])
            nearest = np.round(np.interp(OBSERVED_WAVE[inside], wave, np.arange(len(wave)))).astype(int)
            near = np.clip(nearest + np.arange(-1, 2)[:, None], 0, len(wave) - 1)
            sky[i, inside] = np.median(arrays['sky'][i, chip][::-1][near], 0)
            transmission[i, inside] = np.median(arrays['telluric'][i, chip][::-1][near], 0)
            bits[i, inside] = arrays['mask'][i, chip][::-1][nearest]
    return sky, transmission, bits


def sky_pattern(sky):
    "Brightness of the sky over its median, median of all visits (9475,)"
    relative = sky / np.nanmedian(sky, 1, keepdims=True)
    return np.nan_to_num(np.nanmedian(relative, 0), nan=1.).clip(.3)


def telluric_patterns(transmission):
    "Mean optical depth of the atmosphere (9475,), how it changes most, and the spread of both factors"
    depth = -np.log(np.clip(transmission, .05, 1.02))
    mean = np.nanmean(depth, 0)
    usable = np.isfinite(mean)
    mean = np.where(usable, mean, 0)
    rest = np.where(np.isfinite(depth), depth - mean, 0)
    size = rest @ mean / (mean @ mean)
    rest = rest - size[:, None] * mean
    vectors = np.linalg.svd(rest, full_matrices=False)[2]
    scores = rest @ vectors[0]
    return mean.clip(0), vectors[0] * scores.std(), np.std(size)


def profile(lsf, centre, x):
    "Line-spread function at a pixel, from its Gauss-Hermite coefficients, at distances x"
    width, offset, order = lsf[0], lsf[1], int(lsf[2])
    orders = lsf[3:4 + order].astype(int)
    at = 4 + order
    values = []
    for degree in orders:
        values.append(polynomial.polyval(centre + offset, lsf[at:at + degree + 1]))
        at += degree + 1
    n_wings = int(lsf[at + 1])
    wing_orders = lsf[at + 2:at + 2 + n_wings].astype(int)
    at += 2 + n_wings
    wings = []
    for degree in wing_orders:
        wings.append(polynomial.polyval(centre + offset, lsf[at:at + degree + 1]))
        at += degree + 1
    sigma = values[0]
    hermite = np.array([1 - wings[0], *values[1:]])
    hermite = hermite / np.sqrt([2 * np.pi * factorial(i) for i in range(len(hermite))])
    sharp = hermite_e.hermeval(x / sigma, hermite) * np.exp(-.5 * (x / sigma)**2) / sigma
    sharp = sharp + wings[0] * np.exp(-.5 * (x / wings[1])**2) / wings[1] / np.sqrt(2 * np.pi)
    box = np.ones(round(width / (x[1] - x[0])))
    blurred = np.convolve(sharp, box, 'same')
    return blurred / blurred.sum()


LSF_FREQUENCY = .08  # cycles per native pixel, about one over the FWHM: where lines tell widths apart

def resolving_powers(real):
    "Resolving power (N,3), blue to red, of the Gaussian whose transform is that of the line-spread function"
    x = np.arange(-20, 20, .02)
    with np.load(real/'native_visits.npz') as native:
        lsf, waves = native['lsf'], native['wave']
    out = np.empty((len(lsf), 3))
    for i in range(len(lsf)):
        for chip in range(3):
            wave = waves[i, chip]
            each = []
            for pixel in (700, 2048, 3400):
                kernel = profile(lsf[i, chip], float(pixel), x)
                left = abs((kernel * np.exp(-2j * np.pi * LSF_FREQUENCY * x)).sum())
                sigma = np.sqrt(-2 * np.log(left)) / (2 * np.pi * LSF_FREQUENCY)
                each.append(wave[pixel] / abs(wave[pixel + 1] - wave[pixel]) / sigma / np.sqrt(8 * np.log(2)))
            out[i, 2 - chip] = np.mean(each)
    return out


# ---------------------------------------------------------------- single visits in the rest frame

class Visits(NamedTuple):
    "Visits in the rest frame of their stars"
    flux: np.ndarray      # (N,8575)
    err: np.ndarray       # (N,8575)
    bits: np.ndarray      # (N,8575)
    star: np.ndarray      # (N,)
    snr: np.ndarray       # (N,)
    shift: np.ndarray     # (N,) pixels from the rest frame to the observed one

    @property
    def good(self):
        "Pixels with information (N,8575)"
        flagged = (self.bits & DETECTOR_BITS) > 0
        return ~flagged & (self.err < NO_ERROR) & (self.flux > 0) & APOGEE.lit

    def observed(self, pattern):
        "A pattern of the observed frame (9475,) as each visit sees it (N,8575)"
        return np.stack([pattern[MARGIN + s:MARGIN + s + len(APOGEE_WAVE)] for s in self.shift])


def shift_of(bits, rates):
    "Pixels from the rest frame to the observed one, by the flags of sky and telluric lines"
    total = 0
    for bit, rate in rates.items():
        flag = ((bits & bit) > 0).astype(float)
        flag -= flag.mean()
        total = total + np.correlate(rate, flag, 'valid') / max(flag.std(), .01)
    return int(np.argmax(total)) - MARGIN


def read_visits(real, native_bits):
    "All visits with an S/N, each with the shift that its flags tell"
    with np.load(real/'visits.npz') as arrays:
        flux, err, bits = (arrays[name] for name in ('flux', 'err', 'mask'))
    table = pd.read_csv(real/'visits.csv')
    rates = {bit: ((native_bits & bit) > 0).mean(0) for bit in (SKY, TELLURIC)}
    use = np.flatnonzero(np.isfinite(table.snr))
    shift = [shift_of(bits[i], rates) for i in use]
    return Visits(flux[use].astype(float), err[use].astype(float), bits[use], table.apogee_id.to_numpy()[use],
                  table.snr.to_numpy()[use], np.array(shift))


DEGREE = 4        # of the polynomial on each detector that brings one visit to another
CLIP, ROUNDS = 4., 3
SMOOTHED = 4.     # pixels, of the spectrum whose slopes tell a velocity and a width

def difference(visits, i, j):
    "Visit i less visit j, scaled, moved and blurred to it, over the error of the difference (8575,); NaN if unknown"
    out = np.full(len(APOGEE_WAVE), np.nan)
    known = visits.good[i] & visits.good[j]
    plain = known & ((visits.bits[i] | visits.bits[j]) & (SKY | TELLURIC) == 0)
    for chip in CHIPS.values():
        if plain[chip].sum() < 300:
            continue
        x = np.arange(chip.stop - chip.start)
        other = np.interp(x, x[known[chip]], visits.flux[j, chip][known[chip]])
        slope = np.gradient(gaussian_filter1d(other, SMOOTHED))   # smoothed, or it would take noise away
        smooth = chebyshev.chebvander(2 * x / x[-1] - 1, DEGREE)
        basis = np.c_[smooth * other[:, None], slope, np.gradient(slope)]
        scale = np.median(visits.flux[i, chip][plain[chip]]) / np.median(visits.flux[j, chip][plain[chip]])
        error = np.hypot(visits.err[i, chip], scale * visits.err[j, chip])
        weight = plain[chip] / error
        for _ in range(ROUNDS):
            solved = np.linalg.lstsq(basis * weight[:, None], visits.flux[i, chip] * weight, rcond=None)[0]
            pull = (visits.flux[i, chip] - basis @ solved) / error
            core = plain[chip] & (np.abs(pull) < CLIP * robust(pull[plain[chip]]))
            weight = core / error
        out[chip] = np.where(known[chip], pull, np.nan)
    return out


def pairs(visits):
    "Pairs of visits of one star, each visit with the next"
    for star in np.unique(visits.star):
        rows = np.flatnonzero(visits.star == star)
        if star not in CHANGING and len(rows) > 1:
            following = np.roll(rows, -1) if len(rows) > 2 else rows[1:]
            yield from zip(rows, following)


def sky_levels(visits, sky, depth):
    "Light of the sky between its lines over that of the star in each visit (N,), from how errors grow in its lines"
    pattern, absorbed = visits.observed(sky), visits.observed(depth)
    out = np.empty(len(visits.flux))
    for i in range(len(out)):
        each = []
        for chip in CHIPS.values():
            x = np.linspace(-1, 1, chip.stop - chip.start)
            plain = visits.good[i, chip] & (pattern[i, chip] < 1.2) & (absorbed[i, chip] < .03)
            line = visits.good[i, chip] & (pattern[i, chip] > 5)
            fit = np.polyfit(x[plain], np.log(visits.err[i, chip][plain]), 3)
            excess = (visits.err[i, chip] / np.exp(np.polyval(fit, x)))**2 - 1
            each.append((excess / PHOTON_SHARE / pattern[i, chip])[line])
        out[i] = np.median(np.concatenate(each))
    return out


# ---------------------------------------------------------------- distributions

class Difference(NamedTuple):
    "A difference of two visits, and what is known about its pixels; each (8575,)"
    pull: np.ndarray      # Over its error; NaN where unknown
    error: np.ndarray     # Mean error of both visits, over the flux
    sky: np.ndarray       # Light of the sky over that of the star, mean of both
    depth: np.ndarray     # Optical depth of the atmosphere, the deeper of both
    flagged: np.ndarray   # Bright sky line in one of them
    place: np.ndarray     # Pixel of the observed frame


def differences(visits, levels, sky, depth):
    "Differences of neighbouring visits of all stars that do not change"
    light, absorbed = visits.observed(sky) * levels[:, None], visits.observed(depth)
    relative = visits.err / np.where(visits.flux > 0, visits.flux, np.nan)
    for i, j in pairs(visits):
        yield Difference(
            pull=difference(visits, i, j),
            error=np.sqrt((relative[i]**2 + relative[j]**2) / 2),
            sky=np.sqrt((light[i]**2 + light[j]**2) / 2),
            depth=np.maximum(absorbed[i], absorbed[j]),
            flagged=((visits.bits[i] | visits.bits[j]) & SKY) > 0,
            place=np.arange(len(APOGEE_WAVE)) + MARGIN + visits.shift[i],
        )


DARK_SKY, CLEAR = .3, .03   # of the star's light, and optical depth: pixels that are called plain
FEWEST = 100                # pixels that a scatter is taken from

def plain_noise(all_differences, sky_left=0., telluric_left=0.):
    "By detector: what errors are to be multiplied by, a share of the flux to add, and the scatter between stars"
    factor, floor, left = np.empty((3, 3))
    for k, chip in enumerate(CHIPS.values()):
        points = []
        for d in all_differences:
            plain = ~d.flagged & (d.sky < DARK_SKY) & (d.depth < CLEAR) & np.isfinite(d.pull)
            here = np.flatnonzero(plain[chip]) + chip.start
            if len(here) > FEWEST:
                known = np.median(np.hypot(sky_left * d.sky[here], telluric_left * d.depth[here]))
                points.append((robust(d.pull[here]), np.median(d.error[here]), known))
        scatter, error, known = np.array(points).T
        def misfit(p, scatter=scatter, error=error, known=known):
            return np.log(np.hypot(p[0], np.hypot(p[1], known) / error)) - np.log(scatter)
        fit = least_squares(misfit, [.9, .005], loss='soft_l1', f_scale=.1)
        factor[k], floor[k], left[k] = *np.abs(fit.x), robust(fit.fun)
    return factor, floor, left


def correlation(all_differences):
    "Correlation of noise between neighbouring pixels (LAGS,), of pairs without much else"
    rows = []
    for d in all_differences:
        plain = ~d.flagged & (d.sky < DARK_SKY) & (d.depth < CLEAR) & np.isfinite(d.pull)
        pull = np.where(plain, np.clip(d.pull, -4, 4), 0)
        products = [(pull[:-lag or None] * pull[lag:]).sum() / (plain[:-lag or None] & plain[lag:]).sum()
                    for lag in range(LAGS)]
        rows.append(np.array(products) / products[0])
    rows = np.array(rows)
    best = rows[:, 1:].sum(1).argsort()[:len(rows) // 2]   # the others have differences of lines in them
    return np.median(rows[best], 0)


LINE_RISES = 1.5           # of the median sky: brighter maxima are lines
TELLURIC_LINE = .03        # optical depth of the faintest telluric line
FEWEST_OF_LINE = 30        # pixels of differences for a line's own residual
LINE_SPREAD = .7           # of the logarithm of the residuals of lines, before they are looked at
ALIKE = 4                  # neighbouring pixels of a line that tell the same
RESIDUALS = np.geomspace(.002, .5, 60)  # that are tried
TAILS = 5.                 # degrees of freedom of Student's distribution of residuals

def lines_of(pattern, least):
    "Middles of the lines of a pattern (9475,), and the line that each pixel belongs to (9475,)"
    top = (pattern[1:-1] >= pattern[:-2]) & (pattern[1:-1] > pattern[2:]) & (pattern[1:-1] > least)
    middle = np.flatnonzero(top) + 1
    borders = (middle[1:] + middle[:-1]) // 2
    return middle, np.searchsorted(borders, np.arange(len(pattern)), 'right')


def likely(residual, noise, size):
    "Logarithm of the likelihood of each of `RESIDUALS`, from residuals (n,), their noise and the size of the lines"
    var = noise**2 + (RESIDUALS[:, None] * size)**2
    each = -(TAILS + 1) / 2 * np.log1p(residual**2 / var / TAILS) - .5 * np.log(var)
    return each.sum(1) / ALIKE


def line_residuals(all_differences, pattern, least, size_of, factor, floor):
    "Line of each pixel (9475,), what is left of each line over its size, the mean, and the pixels of each line"
    middle, line_of = lines_of(pattern, least)
    chip_of = np.zeros(len(APOGEE_WAVE), int)
    for k, chip in enumerate(CHIPS.values()):
        chip_of[chip] = k
    columns = []
    for d in all_differences:
        use = np.isfinite(d.pull) & (size_of(d) > 0) & (pattern[d.place] > least)
        noise = np.hypot(factor[chip_of] * d.error, floor[chip_of])
        residual = np.clip(d.pull, -100, 100) * d.error
        columns.append(np.stack([line_of[d.place], residual, noise, size_of(d)])[:, use])
    line, residual, noise, size = np.concatenate(columns, 1)
    bright = np.flatnonzero(RESIDUALS[0] * 10 * size > .3 * noise)
    some = np.random.default_rng(0).choice(bright, min(len(bright), 20_000), replace=False)
    mean = RESIDUALS[likely(residual[some], noise[some], size[some]).argmax()]
    prior = -.5 * (np.log(RESIDUALS / mean) / LINE_SPREAD)**2
    left = np.full(len(middle), mean)
    pixels = np.bincount(line.astype(int), minlength=len(middle))
    for k in np.flatnonzero(pixels >= FEWEST_OF_LINE):
        rows = line == k
        left[k] = RESIDUALS[(likely(residual[rows], noise[rows], size[rows]) + prior).argmax()]
    return middle, line_of, left, mean, pixels


def runs_of(flags):
    "First and last+1 of each run of True in rows (N,P), with the row"
    change = np.diff(np.pad(flags, ((0, 0), (1, 1))).astype(int), axis=1)
    row, start = np.nonzero(change == 1)
    return row, start, np.nonzero(change == -1)[1]


LONGEST_RUN = 40

def defects(visits):
    "Bits along runs of flagged pixels, borders of the runs in them, and how many runs each visit has"
    bits = np.where(APOGEE.lit, visits.bits & DETECTOR_BITS, 0)
    row, start, stop = runs_of(bits > 0)
    short = stop - start <= LONGEST_RUN
    counts = np.bincount(row[short], minlength=len(bits))
    runs = [bits[r, a:b] for r, a, b in zip(row[short], start[short], stop[short])]
    lost = [visits.err[r, a:b] > NO_ERROR for r, a, b in zip(row[short], start[short], stop[short])]
    return np.concatenate(runs), np.concatenate(lost), np.cumsum([0, *map(len, runs)]), counts


SPREAD = 4   # pixels that one flagged pixel becomes by resampling

def flag_thresholds(visits, sizes, pattern, bit):
    "Size of a pattern (9475,), scaled for each visit (N,), beyond which pixels are flagged (N,)"
    size = visits.observed(maximum_filter1d(pattern, SPREAD)) * sizes[:, None]
    tries = np.geomspace(.03, 20, 120)
    best = []
    for i in range(len(size)):
        good = visits.good[i]
        flag = (visits.bits[i, good] & bit) > 0
        right = [((size[i, good] > one) == flag).mean() for one in tries]
        best.append(tries[int(np.argmax(right))])
    return np.array(best)


def error_shape(visits, sky, depth):
    "Claimed error over that of the mean pixel of the detector (8575,), and S/N of the detectors over that of all (N,3)"
    pattern, absorbed = visits.observed(sky), visits.observed(depth)
    shapes, ratios = [], []
    for i in range(len(visits.flux)):
        shape, ratio = np.zeros(len(APOGEE_WAVE)), []
        for chip in CHIPS.values():
            x = np.linspace(-1, 1, chip.stop - chip.start)
            plain = visits.good[i, chip] & (pattern[i, chip] < 1.3) & (absorbed[i, chip] < CLEAR)
            level = np.median(visits.flux[i, chip][plain])
            share = PHOTON_SHARE * visits.flux[i, chip] / level + 1 - PHOTON_SHARE
            error = visits.err[i, chip] / level / np.sqrt(share.clip(.2))
            fit = chebyshev.chebfit(x[plain], np.log(error[plain]), 5)
            shape[chip] = chebyshev.chebval(x, fit)
            ratio.append(-np.median(shape[chip]))
            shape[chip] -= np.median(shape[chip])
        shapes.append(shape)
        ratios.append(np.array(ratio) - np.log(visits.snr[i]))
    return np.exp(np.median(shapes, 0)), np.exp(np.array(ratios))


HEAT = 1.438776877e8   # Å K, of a black body
BELOW, ABOVE = 1., 3.  # standard deviations at which a pixel is no continuum

def continua(real):
    "Scatter between stars of the constant, linear and quadratic term of light over a black body, mean of detectors"
    with np.load(real/'combined.npz') as arrays:
        flux, err, bits = (arrays[name] for name in ('flux', 'err', 'mask'))
    teff = pd.read_csv(real/'combined.csv').rv_teff.to_numpy()
    terms = []
    for i in range(len(flux)):
        light = flux[i].astype(float) * APOGEE_WAVE**5 * np.expm1(HEAT / (APOGEE_WAVE * teff[i]))
        good = (err[i] < NO_ERROR) & (flux[i] > 0) & (bits[i] & (SKY | DETECTOR_BITS) == 0)
        row = []
        for chip in CHIPS.values():
            x = np.linspace(-1, 1, chip.stop - chip.start)[good[chip]]
            level = np.log(light[chip][good[chip]])
            keep = np.ones(len(x), bool)
            for _ in range(5):
                fit = chebyshev.chebfit(x[keep], level[keep], 2)
                rest = level - chebyshev.chebval(x, fit)
                scatter = robust(rest[keep])
                keep = (rest > -BELOW * scatter) & (rest < ABOVE * scatter)
            row.append(fit)
        row = np.array(row)
        row[:, 0] -= row[:, 0].mean()
        terms.append(row)
    terms = np.array(terms)
    return np.apply_along_axis(robust, 0, terms.reshape(len(terms), -1)).reshape(3, 3).mean(0)


BRIGHT_ENOUGH = 20     # S/N of visits whose lines are compared

def afterglow(visits):
    "S/N of visits whose blue detector is said to remember, and light on its thirds, over the continuum, by their lines"
    blue = CHIPS['blue']
    remembers = ((visits.bits[:, blue] & PERSISTENCE_BITS[0]) > 0).mean(1)
    borders = np.linspace(blue.start, blue.stop, 4).astype(int)
    out = []
    for i in np.flatnonzero((remembers > .5) & (visits.snr > BRIGHT_ENOUGH)):
        same = (visits.star == visits.star[i]) & (remembers < .05) & (visits.snr > BRIGHT_ENOUGH)
        for j in np.flatnonzero(same)[:1] if visits.star[i] not in CHANGING else []:
            row = [visits.snr[i]]
            for part in (slice(*ends) for ends in zip(borders, borders[1:])):
                known = visits.good[i, part] & visits.good[j, part]
                weight = known & ((visits.bits[i, part] | visits.bits[j, part]) & (SKY | TELLURIC) == 0)
                x = np.linspace(-1, 1, part.stop - part.start)
                seen = [visits.flux[k, part][known] / np.median(visits.flux[k, part][known]) for k in (i, j)]
                one, other = (gaussian_filter1d(np.interp(x, x[known], values), 1.5) for values in seen)
                basis = np.c_[chebyshev.chebvander(x, 2), other, np.gradient(gaussian_filter1d(other, SMOOTHED))]
                solved = np.linalg.lstsq(basis[weight], one[weight], rcond=None)[0]
                row.append(1 / solved[3] - 1)
            out.append(row)
    return np.array(out)


# ---------------------------------------------------------------- what lessons show beside what is simulated

LONGEST_SHOWN = 40   # pixels
BESIDE = 3           # pixels to either side of the middle of a line

def run_lengths(visits):
    "Number of runs of each length in a visit, of sky lines, telluric lines and defects (3,LONGEST_SHOWN)"
    out = []
    for bits in (SKY, TELLURIC, DETECTOR_BITS):
        _, start, stop = runs_of((np.where(APOGEE.lit, visits.bits, 0) & bits) > 0)
        counts = np.bincount(stop - start, minlength=LONGEST_SHOWN + 1)[1:LONGEST_SHOWN + 1]
        out.append(counts / len(visits.bits))
    return np.array(out)


def widths(all_differences):
    "Width of the pulls of plain pixels of each difference"
    out = []
    for d in all_differences:
        plain = ~d.flagged & (d.sky < DARK_SKY) & (d.depth < CLEAR) & np.isfinite(d.pull)
        out.append(robust(d.pull[plain]))
    return np.array(out)


def line_widths(all_differences, middles):
    "Width of the pulls of all differences beside the middle of each line, places of the observed frame"
    pulls = [[] for _ in middles]
    for d in all_differences:
        offset = middles - d.place[0]
        for k in np.flatnonzero((offset >= 0) & (offset < len(d.pull))):
            near = d.pull[max(offset[k] - BESIDE, 0):offset[k] + BESIDE + 1]
            pulls[k].append(near[np.isfinite(near)])
    return np.array([robust(np.concatenate(p)) if sum(map(len, p)) > FEWEST else np.nan for p in pulls])


# ---------------------------------------------------------------- all of it

SHARPEST = 28_000   # resolving power: what is above is a fit that went wrong

def measure(real):
    "Everything that the simulator draws from, by name"
    sky, transmission, native_bits = observed_frame(real)
    pattern = sky_pattern(sky)
    depth, water, depth_scatter = telluric_patterns(transmission)
    visits = read_visits(real, native_bits)
    levels = sky_levels(visits, pattern, depth).clip(1e-3)
    pulls = list(differences(visits, levels, pattern, depth))
    sky_left = telluric_left = 0.
    for _ in range(2):
        factor, floor, spread = plain_noise(pulls, sky_left, telluric_left)
        sky_lines = line_residuals(pulls, pattern, LINE_RISES, lambda d: d.sky, factor, floor)
        telluric_lines = line_residuals(pulls, depth, TELLURIC_LINE,
                                        lambda d: np.where((d.sky < DARK_SKY) & ~d.flagged, d.depth, 0), factor, floor)
        sky_left, telluric_left = sky_lines[3], telluric_lines[3]
    print(f'{len(visits.flux)} visits, {len(pulls)} pairs; errors times {factor.round(2)}, and {floor.round(4)} of the '
          f'flux; scatter of the logarithm {spread.round(2)}')

    for name, lines in (('sky', sky_lines), ('telluric', telluric_lines)):
        print(f'{len(lines[0])} {name} lines, of which {lines[3]:.3f} is left; by line (5, 50, 95 %) '
              f'{np.percentile(lines[2], [5, 50, 95]).round(3)}')

    slope, constant = np.polyfit(np.log(visits.snr), np.log(levels), 1)
    night = np.std(np.log(levels) - slope * np.log(visits.snr) - constant)
    threshold = np.log(flag_thresholds(visits, levels, pattern, SKY))
    deepest = np.log(flag_thresholds(visits, np.ones(len(levels)), depth, TELLURIC))
    shape, detectors = error_shape(visits, pattern, depth)
    resolution = resolving_powers(real)
    fibre = pd.read_csv(real/'native_visits.csv').fiber.to_numpy()[resolution.max(1) < SHARPEST]
    resolution = resolution[resolution.max(1) < SHARPEST]
    both = np.array(list(pairs(visits)))
    bits, _, borders, counts = defects(visits)
    ghost = np.nan_to_num(((native_bits & GHOST) > 0).sum(0) / np.isfinite(sky).sum(0))
    steady = [visits.shift[visits.star == star] for star in np.unique(visits.star) if star not in CHANGING]
    drift = np.std(np.concatenate([o - o.mean() for o in steady]))
    combined = pd.read_csv(real/'combined.csv').nvisits.to_numpy()
    noise = correlation(pulls)
    response = continua(real)
    glow = afterglow(visits)
    faint = glow[:, 0] < 50
    print(f'continua scatter by {response.round(3)}; light on the thirds of the blue detector in {len(glow)} visits '
          f'that remember: {np.median(glow[faint], 0).round(2)[1:]} at S/N {np.median(glow[faint, 0]):.0f}, '
          f'{np.median(glow[~faint], 0).round(2)[1:]} at S/N {np.median(glow[~faint, 0]):.0f}')
    print(f'sky over star: exp({constant:.2f} + {slope:.2f} ln S/N), scatter {night:.2f}; flagged above '
          f'{np.exp(threshold.mean()):.2f}, scatter {threshold.std():.2f}\n'
          f'S/N of the detectors {np.median(detectors, 0).round(2)}; resolving power {resolution.mean(0).round()} '
          f'+- {resolution.std(0).round()}, correlations {np.corrcoef(resolution.T)[[0, 0, 1], [1, 2, 2]].round(2)}\n'
          f'telluric lines flagged above a depth of {np.exp(deepest.mean()):.3f}, scatter {deepest.std():.2f}; '
          f'{np.median(counts):.0f} runs of defects in a visit; drift {drift:.1f} pixels; noise {noise.round(2)}')
    return dict(
        sky=np.log(pattern).astype(np.float16), sky_line=sky_lines[1].astype(np.uint16),
        sky_left=sky_lines[2].astype(np.float16), sky_places=sky_lines[0].astype(np.int16),
        depth=depth.astype(np.float16), water=water.astype(np.float16),
        depth_scatter=depth_scatter, telluric_line=telluric_lines[1].astype(np.uint16),
        telluric_left=telluric_lines[2].astype(np.float16), telluric_places=telluric_lines[0].astype(np.int16),
        error_factor=factor, error_floor=floor, error_scatter=spread, noise=noise,
        error_shape=shape.astype(np.float16), detectors=detectors.astype(np.float16),
        sky_level=np.array([constant, slope, night]),
        sky_flag=np.array([threshold.mean(), threshold.std()]),
        telluric_flag=np.array([deepest.mean(), deepest.std()]),
        run_bits=bits.astype(np.int32), run_borders=borders.astype(np.int32), run_counts=counts.astype(np.int16),
        ghost=ghost.astype(np.float16), drift=drift, response=response, visits=combined.astype(np.int16),
        resolution=resolution.astype(np.float32), fibre=fibre.astype(np.int16),
        pair_snr=visits.snr[both].astype(np.float16), pair_shift=visits.shift[both].astype(np.int16),
        pair_width=widths(pulls).astype(np.float16), run_lengths=run_lengths(visits).astype(np.float32),
        sky_width=line_widths(pulls, sky_lines[0]).astype(np.float16),
        telluric_width=line_widths(pulls, telluric_lines[0]).astype(np.float16),
    )


def main():
    "Measure and write, or compare"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('real', nargs='?', type=Path, default=REAL, help='folder of the real spectra')
    arguments = parser.parse_args()
    np.savez_compressed(OUT, **measure(arguments.real))
    print(f'{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main()
