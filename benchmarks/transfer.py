"""How many spectra of another survey a pre-trained model needs, against training from scratch; one run, one table.

    python benchmarks/transfer.py [--test 1000] [--numbers 50 100 200 500 1000 2000] [--passes 20000]

The other survey: resolving power 11,500 instead of 22,500, velocities 6 km/s off, line strengths wrong by up to 30 %.
Median reduced chi-square of its held-out stars at S/N below 150. Each training ends at the epoch that draws a tenth of
its spectra, held out, best.
"""
import argparse

import numpy as np

from stellar_gen.data import APOGEE_WAVE, CHIPS
from stellar_gen.preprocess import doppler_shift
from stellar_gen.simulate import observe, sample_labels, synthesize
from stellar_gen.train import KeepBest, evaluate, finish, load_model, spectra_dls, spectra_learner

RESOLUTION = 11_500.        # of the other survey
VELOCITY = 6.               # km/s, by which it is off
WRONG = .3                  # of the strength of lines, at most
PERIOD = 90.                # Å, after which lines are as wrong again
DEEPEST = .05               # of the continuum
FAINT = 150                 # S/N
SHAPE = ('latent', 'hidden', 'coefs', 'heads', 'channels', 'scatter')  # of a network, which both share
FEW = 500                   # spectra, below which batches are small
SMALL_BATCH, BATCH = 16, 32
FEWEST_EPOCHS = 20
TUNING_RATE = 2e-3


def other_survey(n, seed):
    "Spectra of the other survey"
    resolutions = {f'resolution_{chip}': RESOLUTION for chip in CHIPS}
    labels = sample_labels(n, seed).assign(**resolutions)
    strength = 1 + WRONG * np.sin(2 * np.pi * APOGEE_WAVE / PERIOD)
    flux = np.maximum(1 - strength * (1 - synthesize(labels)), DEEPEST)
    moved, _ = doppler_shift(flux, np.ones_like(flux), VELOCITY)
    return observe(moved, labels, seed)


def chi2(model, test):
    "Median reduced chi-square of faint stars"
    found = evaluate(model, test)
    return found.chi2[found.snr < FAINT].median()


def trained(spectra, passes, shape, start=None):
    "A model of these spectra, from scratch or from another"
    n = len(spectra)
    dls = spectra_dls(spectra, bs=SMALL_BATCH if n < FEW else BATCH)
    learn = spectra_learner(dls, start=start, metrics=[], cbs=[KeepBest()], **({} if start else shape))
    epochs = max(round(passes / n), FEWEST_EPOCHS)
    with learn.no_bar(), learn.no_logging():
        if start:
            learn.fine_tune(epochs * 2 // 3, TUNING_RATE, freeze_epochs=epochs // 3, lr_mult=10)
        else:
            learn.fit_one_cycle(epochs)
    return finish(learn)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--test', type=int, default=1000)
    parser.add_argument('--numbers', type=int, nargs='*', default=[50, 100, 200, 500, 1000, 2000])
    parser.add_argument('--passes', type=int, default=20_000, help='Star passes of each training, at least 20 a star')
    given = parser.parse_args()
    model = load_model('apogee-16')
    test, pool = other_survey(given.test, 1), other_survey(max(given.numbers), 2)
    shape = {name: value for name, value in model.net.config.items() if name in SHAPE}
    print(f'untouched: {chi2(model, test):.3f}')
    print(f'{"spectra":>8} {"scratch":>8} {"tuned":>8}')
    for n in given.numbers:
        scratch, tuned = (chi2(trained(pool[:n], given.passes, shape, start), test) for start in (None, model))
        print(f'{n:8,} {scratch:8.3f} {tuned:8.3f}', flush=True)


if __name__ == '__main__':
    main()
