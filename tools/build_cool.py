"""Build `cool.npz`: spectra of dwarfs of 2,400 to 3,500 K, learned from real M and L dwarfs.

    python tools/build_cool.py [FOLDER]      FOLDER holds combined, visits and aspcap_m_dwarfs (.npz and .csv)

The logarithm of the flux is a constant, a slope and a curvature in temperature at each pixel. Every star is that
sequence at its own temperature, rotated and moved by its own velocities, times a polynomial on each detector.
Temperatures and velocities are fitted; a straight line puts the temperatures on the scale of the spectral types that
some of the stars have. The warm end is held by the polynomial model at `JOIN`.
"""
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.polynomial import chebyshev
from scipy.ndimage import uniform_filter1d
from scipy.sparse.linalg import LinearOperator, cg

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from stellar_gen.data import APOGEE, BAD_PIXELS, Spectra  # noqa: E402
from stellar_gen.instrument import transfer  # noqa: E402
from stellar_gen.preprocess import Recipe  # noqa: E402
from stellar_gen.simulate.calibration import usual_flux  # noqa: E402
from stellar_gen.simulate.stars import _ON_GRID  # noqa: E402

OUT = ROOT / 'stellar_gen' / 'assets' / 'cool.npz'
DATA = ROOT.parent / 'shared' / 'data' / 'real'

# The stars, and spectral types from the literature where we know them ('' where not, or where the star is young).
STARS = {
    '2M03122509+0021585': '',
    '2M03290406+3117075': '',      # NGC 1333, young
    '2M03434763+3209025': '',      # IC 348, young
    '2M03441583+3159367': '',      # IC 348, young
    '2M03442721+3220288': '',      # IC 348, young
    '2M05392474+4038437': 'M8',    # LSR J0539+4038, Lépine et al. 2003
    '2M06154934-0100415': 'L1',    # DENIS-P J0615493-010041, Phan-Bao et al. 2008
    '2M06521977-2534505': 'L0',    # DENIS-P J0652197-253450, Phan-Bao et al. 2008
    '2M07140394+3702459': 'M8',    # Schmidt et al. 2007
    '2M08501918+1056436': 'M5.5',  # NLTT 20346, M5 + M6, Faherty et al. 2011
    '2M11194647+0820356': '',
    '2M12252076+2517082': '',
    '2M12294016+2619567': '',
    '2M13564148+4342587': 'M8',    # LP 220-13, Cruz et al. 2003
    '2M14305591+0858023': '',
    '2M15141711+0044474': '',
    '2M19535443+4424541': '',      # GJ 1245 AC, M5.5 and M8 together
    '2M22400144+0532162': 'M6',    # as listed by the authors of jbirky_apogee_tools
    '2M23200703+1150071': '',
}
# Temperatures (K) of spectral types: Pecaut & Mamajek 2013, ApJS 208, 9; L1 continues the slope from M9 to L0
TYPE_TEFF = dict(M4=3200, M5=3050, M6=2800, M7=2650, M8=2500, M9=2450, L0=2300, L1=2200)

MIDDLE, UNIT = 2900., 400.   # K, where the constant holds, and in what temperatures are counted
JOIN = 3500.                 # K, where the polynomial model holds the warm end
JOIN_LOGG = 4.9              # dex cgs
JOIN_ERROR = 0.01            # of the flux: the weight of that model, as of four stars whose OWN_ERROR counts
OWN_ERROR = 0.02             # of the flux: what a star differs by from the sequence
PRIOR = np.array([.3, .05, .01])  # of the logarithm of the flux: one standard deviation of the three coefficients
TEFFS = np.arange(1900., 3501., 25)      # K, tried for each star
ROTATIONS = np.array([0, 5, 8, 11, 14, 17, 20, 24, 28, 33, 40, 50, 60.])  # km/s
SHIFTS = np.arange(-10, 10.1, 1.)        # km/s, tried after the whole pixels
FARTHEST = 1000.         # km/s, how wrong the velocity in a header may be
DEGREE = 4               # of the Chebyshev polynomial on each detector
ROUNDS = 5
N_FFT = 9216
FREQUENCY = np.fft.rfftfreq(N_FFT)
CLIP = 6.                # standard deviations, of noise and a star's own; what is farther off is sky, and dropped
LEAST_SNR = 25.          # of stars that the sequence is learned from
PIXELS = len(APOGEE)
BRIGHT = 60.             # S/N of stars that tell what stars differ by
SMOOTH = 15              # pixels
EDGE = 12                # pixels at the ends of the detectors that no star may tell of
FEWEST = 6               # stars that a pixel needs
COOLEST, WARMEST = 2400., 3500.  # K, of the sequence
STACKS = [2100, 2350, 2560, 2680, 2850, 3100]  # K, borders of the mean spectra that are kept for the lesson
EXAMPLE = '2M05392474+4038437'                 # drawn without it, for the lesson
SHOWN = slice(3730, 4130)                      # pixels of it


@dataclass
class Star:
    "One star, all of its exposures together"
    name: str
    y: np.ndarray        # Logarithm of the flux less a polynomial on each detector (P,)
    var: np.ndarray      # Its variance (P,), infinite where nothing is known
    prior: float = np.nan    # K, of its spectral type
    teff: float = 2800.  # K
    vsini: float = 0.    # km/s, beyond that of the stars whose lines are narrowest
    rv: float = 0.       # km/s
    own: float = OWN_ERROR   # of the flux

    @property
    def weight(self):
        "Weight of each pixel (P,)"
        return 1 / (self.var + self.own**2)

    @property
    def snr(self):
        "Median signal-to-noise ratio of a pixel"
        return float(np.median(self.var[np.isfinite(self.var)]**-.5))


def type_teff(name):
    "Temperature (K) of a spectral type"
    number = {t: int(t[1]) + 10*(t[0] == 'L') for t in TYPE_TEFF}
    return float(np.interp(float(name[1:]) + 10*(name[0] == 'L'), list(number.values()), list(TYPE_TEFF.values())))


def bases():
    "Pixels of each detector, and Chebyshev polynomials along it"
    return [(span, chebyshev.chebvander(np.linspace(-1, 1, span.stop - span.start), DEGREE))
            for span in APOGEE.detectors.values()]


def without_trend(y, weight):
    "A spectrum (P,) less the polynomial on each detector that fits it best"
    out = y.copy()
    for span, basis in bases():
        w = weight[span]
        if (w > 0).sum() < 10*basis.shape[1]:
            continue
        left = (basis.T*w) @ basis
        out[span] -= basis @ np.linalg.solve(left, basis.T @ (w*y[span]))
    return out


# --------------------------------------------------------------- stars

def load(folder, name):
    "Flux, variance (infinite where nothing is known) and table of one file"
    with np.load(folder / f'{name}.npz') as arrays:
        flux, err = arrays['flux'].astype(float), arrays['err'].astype(float)
        good = np.isfinite(flux) & (flux > 0) & (err > 0) & (err < 1e9) & APOGEE.lit
        if 'mask' in arrays:
            good &= (arrays['mask'] & int(BAD_PIXELS)) == 0
    return np.where(good, flux, 1), np.where(good, err**2, np.inf), pd.read_csv(folder / f'{name}.csv')


def logarithm(flux, var):
    "Logarithm of a spectrum over its median on each detector, without trend, and its variance; spikes are dropped"
    y, v = np.zeros(PIXELS), np.full(PIXELS, np.inf)
    for span, _ in bases():
        good = np.isfinite(var[span])
        if good.sum() < 200:
            continue
        level = np.median(flux[span][good])
        y[span] = np.where(good, np.log(np.maximum(flux[span], .05*level) / level), 0)
        v[span] = np.where(good, var[span] / np.maximum(flux[span], .3*level)**2, np.inf)
    for _ in range(3):
        y = np.where(np.isfinite(v), without_trend(y, np.isfinite(v)*1.), 0)
        scatter = 1.4826*np.median(np.abs(y[np.isfinite(v)]))
        v = np.where(y > 6*scatter, np.inf, v)  # no star shines there: sky or cosmic rays
    return y, v


def together(spectra):
    "Weighted mean of exposures of one star; what is far from the others is dropped"
    y, v = (np.array(o) for o in zip(*spectra))
    if len(y) > 2:
        middle = np.ma.median(np.ma.array(y, mask=~np.isfinite(v)), axis=0).filled(0)
        v = np.where((y - middle)**2 > 25*(v + .02**2), np.inf, v)
    total = (1/v).sum(0)
    return np.where(total > 0, (y/v).sum(0) / np.maximum(total, 1e-30), 0), 1/np.maximum(total, 1e-30)


def read_stars(folder):
    "All stars; single visits where there are any, since the sky's lines lie elsewhere in each"
    found = {name: load(folder, name) for name in ('visits', 'combined', 'aspcap_m_dwarfs')}
    stars = []
    for star_id, spectral_type in STARS.items():
        for flux, var, table in found.values():  # noqa: B007
            rows = np.flatnonzero(table.apogee_id == star_id)
            if len(rows):
                break
        y, v = together([logarithm(flux[i], var[i]) for i in rows])
        v = np.where(v > 1e20, np.inf, v)
        y = without_trend(y, np.isfinite(v)*1.)
        star = Star(star_id, np.where(np.isfinite(v), y, 0), v)
        if spectral_type:
            star.prior = star.teff = type_teff(spectral_type)
        stars.append(star)
    often = sum(np.isfinite(s.var) for s in stars) >= FEWEST
    for star in stars:
        star.var = np.where(often & ~edges(), star.var, np.inf)
    return stars


def edges():
    "Pixels at the ends of the detectors (P,)"
    at_end = ~APOGEE.lit
    for span, _ in bases():
        at_end[span.start:span.start + EDGE] = True
        at_end[span.stop - EDGE:span.stop] = True
    return at_end


def warm_end():
    "The polynomial model where the sequence ends, not corrected, as a star"
    flux = usual_flux(pd.DataFrame(dict(teff=[JOIN], logg=JOIN_LOGG, fe_h=0.)))[0, _ON_GRID]
    y = without_trend(np.where(APOGEE.lit, np.log(flux), 0), APOGEE.lit*1.)
    return Star('polynomial model', y, np.where(APOGEE.lit, 1e-12, np.inf), teff=JOIN, own=JOIN_ERROR)


# --------------------------------------------------------------- the sequence

def powers(teff):
    "What the constant, the slope and the curvature are multiplied by"
    x = (np.asarray(teff, float) - MIDDLE) / UNIT
    return np.stack([np.ones_like(x), x, x**2], -1)


def kernel(vsini, rv):
    "Rotation and displacement in Fourier space (F,)"
    return transfer(FREQUENCY, np.array([vsini]), np.array([rv]), None)[0]


def moved(y, factor):
    "A spectrum (P,) rotated and displaced"
    return np.fft.irfft(np.fft.rfft(y, N_FFT) * factor, N_FFT)[:PIXELS]


def fit_sequence(stars):
    "Coefficients (3,P) that draw all stars best"
    factors = [kernel(s.vsini, s.rv) for s in stars]
    terms = [powers(s.teff) for s in stars]

    def normal(flat):
        c = flat.reshape(3, PIXELS)
        out = c / PRIOR[:, None]**2
        for s, f, t in zip(stars, factors, terms):
            back = moved(s.weight * moved(t @ c, f), f.conj())
            out += t[:, None] * back
        return out.ravel()

    right = sum(t[:, None] * moved(s.weight * s.y, f.conj()) for s, f, t in zip(stars, factors, terms))
    size = 3*PIXELS
    diagonal = np.concatenate([sum(t[k]**2 * s.weight for s, t in zip(stars, terms)) + PRIOR[k]**-2 for k in range(3)])
    found, _ = cg(LinearOperator((size, size), normal), right.ravel(), rtol=1e-5, maxiter=150,
                  M=LinearOperator((size, size), lambda r: r / diagonal))
    return found.reshape(3, PIXELS)


def misfit(star, drawn):
    "Residual (P,) of a star beside a drawn spectrum, a polynomial on each detector taken out"
    return np.where(np.isfinite(star.var), without_trend(star.y - drawn, star.weight), 0)


def best(star, drawings):
    "Number of the drawing that fits best, and chi-squares; `drawings` gives logarithms of spectra"
    chi2 = np.array([(star.weight * misfit(star, d)**2).sum() for d in drawings])
    return int(chi2.argmin()), chi2


def parabola(x, chi2):
    "Where chi-square is smallest, between the values tried"
    k = int(np.clip(chi2.argmin(), 1, len(x) - 2))
    a, b, c = chi2[k - 1:k + 2]
    return float(np.clip(x[k] + .5*(x[k + 1] - x[k])*(a - c) / max(a - 2*b + c, 1e-9), x[0], x[-1]))


def place(star, coefficients):
    "Find temperature and velocities of a star beside a sequence"
    for _ in range(2):
        base = powers(star.teff) @ coefficients
        star.vsini = ROTATIONS[best(star, [moved(base, kernel(v, star.rv)) for v in ROTATIONS])[0]]
        tried = star.rv + SHIFTS if _ == 0 else star.rv + SHIFTS/5
        star.rv = parabola(tried, best(star, [moved(base, kernel(star.vsini, v)) for v in tried])[1])
        factor = kernel(star.vsini, star.rv)
        rows = [moved(c, factor) for c in coefficients]
        chi2 = best(star, [powers(t) @ rows for t in TEFFS])[1]
        star.teff = parabola(TEFFS, chi2)


def onto_scale(stars):
    "Put temperatures on the scale of the spectral types, by the straight line that suits the typed stars best"
    typed = [s for s in stars if np.isfinite(s.prior)]
    line = np.polyfit([s.teff for s in typed], [s.prior for s in typed], 1)
    for s in stars:
        s.teff = float(np.polyval(line, s.teff))


def coarse_velocity(star, mean):
    "Velocity (km/s) where a star's lines lie on those of the mean of others"
    w = np.minimum(star.weight, np.percentile(star.weight[star.weight > 0], 90))
    n = 2**15
    curve = np.fft.irfft(np.fft.rfft(w*star.y, n) * np.fft.rfft(mean, n).conj(), n)
    lags = np.arange(-int(FARTHEST / APOGEE.pixel_kms), int(FARTHEST / APOGEE.pixel_kms) + 1)
    return float(lags[curve[lags].argmax()] * APOGEE.pixel_kms)


def draw(star, coefficients):
    "Logarithm of the spectrum that a sequence draws for a star (P,)"
    return moved(powers(star.teff) @ coefficients, kernel(star.vsini, star.rv))


def clip(star, coefficients):
    "Drop pixels that are far from the sequence"
    residual = misfit(star, draw(star, coefficients))
    star.var = np.where(residual**2 * star.weight > CLIP**2, np.inf, star.var)


def learned_from(stars):
    "The sequence of the stars that are bright enough, and of the model at the warm end"
    return fit_sequence([s for s in stars if s.snr >= LEAST_SNR] + [warm_end()])


def learn(stars):
    "The sequence; temperatures and velocities of the stars are found on the way"
    coefficients = learned_from(stars)
    for star in stars:
        star.rv = coarse_velocity(star, coefficients[0])
    for number in range(ROUNDS):
        for star in stars:
            place(star, coefficients)
            if number == ROUNDS - 3:
                clip(star, coefficients)
        onto_scale(stars)
        coefficients = learned_from(stars)
    return coefficients


# --------------------------------------------------------------- what it is worth

def per_chip(values, star):
    "Rms of values (P,) on each detector, of the pixels that are known"
    known = np.isfinite(star.var)
    return [float((values[span][known[span]]**2).mean()**.5) for span, _ in bases()]


def noise(star):
    "Median error bar on each detector"
    known = np.isfinite(star.var)
    return [float(np.median(star.var[span][known[span]])**.5) for span, _ in bases()]


def left_out(stars):
    "Each star beside a sequence learned without it: table, residuals (N,P), and what was drawn (N,P)"
    rows, residuals, drawn = [], [], []
    for star in stars:
        without = learned_from([s for s in stars if s is not star])
        alone, before = replace(star), replace(star)
        place(alone, without)
        warm = warm_end().y
        before.vsini = ROTATIONS[best(star, [moved(warm, kernel(v, star.rv)) for v in ROTATIONS])[0]]
        old = misfit(star, moved(warm, kernel(before.vsini, star.rv)))
        residual = misfit(alone, draw(alone, without))
        rows.append(dict(
            apogee_id=star.name, snr=star.snr, type_teff=star.prior, teff=star.teff, teff_left_out=alone.teff,
            vsini=star.vsini, rv=star.rv, rms=per_chip(residual, star), noise=noise(star), before=per_chip(old, star)))
        residuals.append(residual)
        drawn.append(draw(alone, without))
    return pd.DataFrame(rows), np.array(residuals), np.array(drawn)


def beyond(stars, residuals):
    "What stars differ by beyond temperature (P,): residuals less noise, smoothed along the spectrum"
    bright = np.array([s.snr >= BRIGHT and s.teff >= COOLEST for s in stars])
    var = np.array([s.var for s in stars])[bright]
    known = np.isfinite(var)
    var = np.where(known, var, 1)
    weight = np.where(known, (var + OWN_ERROR**2)**-2, 0)
    excess = uniform_filter1d((weight * (residuals[bright]**2 - var)).sum(0), SMOOTH)
    total = uniform_filter1d(weight.sum(0), SMOOTH)
    size = np.sqrt(np.maximum(excess / np.where(total > 0, total, np.inf), 0))
    return np.where(APOGEE.lit, np.maximum(size, np.median(size[APOGEE.lit]) / 2), 0)


# --------------------------------------------------------------- the package's continuum

def normalized(coefficients):
    "The same sequence, over the continuum that the package's recipe finds"
    nodes = np.arange(COOLEST, WARMEST + 1, 50)
    log_flux = powers(nodes) @ coefficients
    for _ in range(2):
        spectra = Spectra(APOGEE, np.exp(log_flux).astype(np.float32), np.tile(APOGEE.lit*1e4, (len(nodes), 1)))
        change = np.where(APOGEE.lit, np.log(Recipe()(spectra).flux) - log_flux, 0)
        more = np.linalg.lstsq(powers(nodes), change, rcond=None)[0]
        print('what three coefficients leave of the continuum', abs(change - powers(nodes) @ more).max())
        coefficients = coefficients + more
        log_flux = powers(nodes) @ coefficients
    again = Recipe()(Spectra(APOGEE, np.exp(log_flux).astype(np.float32), spectra.ivar)).flux
    print('what the recipe changes', abs(np.where(APOGEE.lit, again / np.exp(log_flux) - 1, 0)).max(1).round(4))
    return coefficients


def stacked(stars, coefficients):
    "Mean spectra of stars of like temperature at rest (K,P), their numbers, temperatures and rotation"
    means, table = [], []
    for low, high in zip(STACKS, STACKS[1:]):
        those = [s for s in stars if low <= s.teff < high and s.snr >= BRIGHT]
        total, weights = np.zeros(PIXELS), np.zeros(PIXELS)
        for s in those:
            known = np.isfinite(s.var)
            y = np.where(known, misfit(s, draw(s, coefficients)) + draw(s, coefficients), 0)
            back = kernel(0, -s.rv)
            total += moved(s.weight*known*y, back)
            weights += moved(s.weight*known, back)
        usual = np.median(weights[APOGEE.lit])
        good = (weights > .2*usual) & APOGEE.lit
        means.append(np.where(good, total / np.where(good, weights, 1), np.nan))
        share = np.array([s.snr**2 for s in those])
        table.append([len(those), np.average([s.teff for s in those], weights=share),
                      np.average([s.vsini for s in those], weights=share)])
    return np.array(means), np.array(table)


def build(folder):
    "Learn the sequence and write it"
    stars = read_stars(folder)
    coefficients = learn(stars)
    table, residuals, drawn = left_out(stars)
    show = table.copy()
    for name in ('rms', 'noise', 'before'):
        show[name] = [' '.join(f'{v:.4f}' for v in row) for row in table[name]]
    print(show.round(1).to_string())
    stacks, what = stacked(stars, coefficients)
    print(what.round(0))
    scatter = beyond(stars, residuals)
    print('beyond temperature', np.median(scatter[APOGEE.lit]))
    level = normalized(coefficients) - coefficients
    example = list(STARS).index(EXAMPLE)
    star = stars[example]
    over = moved(powers(star.teff) @ level, kernel(0, star.rv))
    known = np.isfinite(star.var)
    np.savez_compressed(
        OUT,
        coefficients=(coefficients + level).astype(np.float16),
        scatter=scatter.astype(np.float16),
        stacks=np.exp(stacks + powers(what[:, 1]) @ level).astype(np.float16),
        stack_stars=what[:, 0].astype(np.int16),
        stack_teff=what[:, 1],
        stack_vsini=what[:, 2],
        example=np.where(known, np.exp(drawn[example] + residuals[example] + over), np.nan)[SHOWN].astype(np.float16),
        example_drawn=np.exp(drawn[example] + over)[SHOWN].astype(np.float16),
        example_pixels=np.arange(SHOWN.start, SHOWN.stop, dtype=np.int16),
        example_id=EXAMPLE,
        **{name: np.array(table[name].tolist()) for name in table},
    )
    print(f'{OUT.name}: {OUT.stat().st_size/1e3:.0f} kB')


if __name__ == '__main__':
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
