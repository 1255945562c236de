"""How well a few numbers hold a spectrum, and how fast: ours and its peers, on the same data, for the same time.

    python benchmarks/reconstruction.py [--minutes 10] [--train 20000] [--test 2000] [--latents 8 16 32]
        [--spender PYTHON] [--astronn PYTHON] [--only METHOD ...]

Simulated stars with every nuisance of the instrument, at S/N of 50 to 250; the test stars are others. Every method
runs in a process of its own, one after another, on all cores, once for each number of latents or components. Minutes
are those of the processor divided by the number of threads, since a machine may be shared. spender and astroNN may live
in other environments (astroNN needs TensorFlow and NumPy 1): name their interpreters. A method that cannot be imported
is left out, and says so.

The truth is the noiseless record of each star, normalized by the continuum that was found in the noisy one: what a
perfect denoiser of this very spectrum would give. chi2/pixel of that truth, the noise floor, is printed too.
"""
import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

METHODS = ('ours', 'pca', 'weighted pca', 'empca', 'spender', 'astronn')
BATCH = 64                  # stars
RATE = 2e-3                 # largest learning rate, ours and spender's
SNR = 50, 250               # of the stars
FAINT = 150                 # S/N
KINDS = ('giant', 'dwarf', 'hot')
BLOCK = 500                 # stars that a process simulates at a time
HELD_OUT = 200              # stars of the training that choose nothing but are looked at
TIMED = 40                  # training steps by which the number of epochs is chosen
GAIN = .999                 # of chi-square: a round of EMPCA that leaves more ends it


class Found(NamedTuple):
    "What a method made of the test stars"
    name: str               # What it is called in the table, after the method's name
    recon: np.ndarray       # (N,P)
    seconds: float          # Of encoding


class Effort(NamedTuple):
    "What a method took"
    seconds: float          # Of training
    seen: float             # Spectra that it was shown
    parameters: float


def clock():
    "Seconds that the processor has worked for this process, on each of its threads"
    return time.process_time() / threads()


def threads():
    return int(os.environ.get('OMP_NUM_THREADS', 0)) or os.cpu_count() or 1


# --------------------------------------------------------------------------------------------------- the data
def part(seed, first, n):
    "Prepared flux and inverse variance of some stars (n,P), the truth (n,P), and their labels"
    from stellar_gen.preprocess import Recipe
    from stellar_gen.simulate import observe, sample_labels, synthesize
    labels = sample_labels(n, seed, first=first)
    least, most = SNR
    drawn = [np.random.default_rng([seed, first + i, 7]).random() for i in range(n)]
    labels['snr'] = least + (most - least) * np.array(drawn)
    spectra, clean = observe(synthesize(labels), labels, seed, first=first, clean=True)
    ready = Recipe()(spectra)
    known = (ready.ivar > 0) & (ready.flux != 0)
    continuum = np.where(known, spectra.flux, 1) / np.where(known, ready.flux, 1)
    truth = np.where(known, clean / continuum, 1)
    return ready.flux, ready.ivar, truth.astype(np.float32), labels[['kind', 'snr']]


def make(folder, n_train, n_test):
    "Stars to train on and to test with, into a folder"
    import pandas as pd
    from joblib import Parallel, delayed
    for name, seed, n in (('train', 101, n_train), ('test', 202, n_test)):
        jobs = [delayed(part)(seed, first, min(BLOCK, n - first)) for first in range(0, n, BLOCK)]
        flux, ivar, truth, labels = zip(*Parallel(-1)(jobs))
        np.save(folder / f'{name}_flux.npy', np.concatenate(flux))
        np.save(folder / f'{name}_ivar.npy', np.concatenate(ivar))
        if name == 'test':
            np.save(folder / 'truth.npy', np.concatenate(truth))
            pd.concat(labels, ignore_index=True).to_csv(folder / 'labels.csv', index=False)


def load(folder, name):
    "Flux and inverse variance (N,P)"
    return np.load(folder / f'{name}_flux.npy'), np.load(folder / f'{name}_ivar.npy')


def filled(flux, ivar):
    "Flux, 1 where nothing is known"
    return np.where(ivar > 0, flux, 1)


# ------------------------------------------------------------------------------------------------ the methods
# Each returns a list of `Found`, and its `Effort`.
def ours(folder, minutes, latent):
    "The network with its Newton step, and its encoder alone"
    import torch
    from fastai.basics import DataLoaders

    from stellar_gen.data import APOGEE_WAVE, Spectra
    from stellar_gen.preprocess import Recipe
    from stellar_gen.train import SpectraDL, spectra_learner
    flux, ivar = load(folder, 'train')
    spectra = Spectra(APOGEE_WAVE, flux, ivar)
    rows = np.random.default_rng(0).permutation(len(spectra))
    shown, held = np.sort(rows[HELD_OUT:]), np.sort(rows[:HELD_OUT])
    dls = DataLoaders(SpectraDL(spectra, shown, BATCH, shuffle=True, drop_last=True),
                      SpectraDL(spectra, held, 4 * BATCH))
    dls.recipe = Recipe()

    def learner():
        return spectra_learner(dls, latent=latent, metrics=[])

    start = clock()
    learn = learner()
    setup = clock() - start
    rate = steps_per_second(learn, dls.train) * BATCH
    # A little less than the time that there is: epochs are whole, and a Learner has more to do than its steps.
    epochs = max(int((60 * minutes - setup) * rate * .93 / len(shown)), 1)
    learn, start = learner(), clock()
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs)
    trained = clock() - start + setup
    net = learn.model.eval()
    flux, ivar = map(torch.from_numpy, load(folder, 'test'))
    batches = list(zip(flux.split(BATCH), ivar.split(BATCH)))
    found = []
    with torch.no_grad():
        for name, refine in (('', 1), (', encoder alone', 0)):
            start = clock()
            for batch in batches:
                latents = net.encode(*batch).latents
                if refine:
                    net.newton(latents, *batch)
            seconds = clock() - start
            recon = torch.cat([net.infer(*batch, refine=refine).flux for batch in batches])
            found.append(Found(name, recon.numpy(), seconds))
    parameters = sum(p.numel() for p in net.parameters())
    return found, Effort(trained, epochs * len(dls.train) * BATCH, parameters)


def steps_per_second(learn, batches):
    "How fast a network learns"
    import torch
    net = learn.model
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    endless = (batch for _ in iter(int, 1) for batch in batches)

    def step():
        batch = next(endless)
        loss = learn.loss_func(net(*batch[:2]), *batch[2:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(5):
        step()
    start = clock()
    for _ in range(TIMED):
        step()
    return TIMED / (clock() - start)


def projected(flux, ivar, mean, basis, weighted):
    "Each spectrum as the mean and its best sum of components, found with all the weights or without them (N,P)"
    off = np.where(ivar > 0, flux - mean, 0)
    if not weighted:
        return mean + (off @ basis.T) @ basis
    return np.stack([mean + coefficients(basis, one, weight) @ basis for one, weight in zip(off, ivar)])


def coefficients(basis, off, weight, stable=0.):
    "Of one spectrum, by weighted least squares (K,)"
    weighted = basis * weight
    return np.linalg.solve(weighted @ basis.T + stable * np.eye(len(basis)), weighted @ off)


def components(folder, mean, basis, weighted):
    "The test stars by components"
    flux, ivar = load(folder, 'test')
    start = clock()
    recon = projected(flux, ivar, mean, basis, weighted)
    return [Found('', recon, clock() - start)]


def pca(folder, minutes, latent, weighted=False):
    "Principal components of spectra without gaps"
    from sklearn.decomposition import PCA
    x = filled(*load(folder, 'train'))
    start = clock()
    fit = PCA(latent, svd_solver='randomized', random_state=0).fit(x)
    effort = Effort(clock() - start, len(x), fit.components_.size + fit.mean_.size)
    return components(folder, fit.mean_, fit.components_, weighted), effort


def weighted_pca(folder, minutes, latent):
    "The same components, each star's coefficients by weighted least squares"
    return pca(folder, minutes, latent, weighted=True)


def empca(folder, minutes, latent):
    "Bailey (2012): in turn the coefficients of every star and each component, with all the weights, until little is gained"
    flux, ivar = load(folder, 'train')
    start, seen = clock(), 0
    mean = (ivar * filled(flux, ivar)).sum(0) / np.maximum(ivar.sum(0), 1e-9)
    mean[ivar.sum(0) == 0] = 1
    off = np.where(ivar > 0, flux - mean, 0).astype(np.float32)
    random = np.random.default_rng(0).standard_normal((off.shape[1], latent))
    basis = np.linalg.qr(random)[0].T.astype(np.float32)
    before, now = np.inf, 1e30
    while clock() - start < .95 * 60 * minutes and now < GAIN * before:
        weights = np.stack([coefficients(basis, *star, stable=1e-9) for star in zip(off, ivar)]).astype(np.float32)
        left = off.copy()
        for k in range(latent):
            basis[k] = weights[:, k] @ (ivar * left) / np.maximum(weights[:, k]**2 @ ivar, 1e-9)
            left -= weights[:, k:k + 1] * basis[k]
        before, now = now, (ivar * left**2).sum(dtype=float)
        basis = np.linalg.qr(basis.T)[0].T.astype(np.float32)
        seen += len(off)
    effort = Effort(clock() - start, seen, basis.size + mean.size)
    return components(folder, mean, basis, weighted=True), effort


def spender(folder, minutes, latent):
    "Melchior et al. (2023), its network for one instrument"
    import torch
    from spender import SpectrumAutoencoder
    from spender.instrument import Instrument
    torch.manual_seed(0)
    flux, ivar = load(folder, 'train')
    x, weight = torch.from_numpy(filled(flux, ivar)), torch.from_numpy(ivar)
    wave = torch.from_numpy(10**(4.179 + 6e-6 * np.arange(x.shape[1]))).float()

    class Apogee(Instrument):
        def __init__(self):
            super().__init__(wave)

    net = SpectrumAutoencoder(Apogee(), wave, n_latent=latent)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    generator = torch.Generator().manual_seed(0)
    seen, start = 0, clock()
    while (done := (clock() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:  # up for a tenth of the time, then down by a cosine
            group['lr'] = RATE * (done / .1 if done < .1 else .5 + .5 * math.cos(math.pi * (done - .1) / .9))
        rows = torch.randint(0, len(x), (BATCH,), generator=generator)
        loss = net.loss(x[rows], weight[rows]) / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += BATCH
    effort = Effort(clock() - start, seen, sum(p.numel() for p in net.parameters()))
    batches = torch.from_numpy(filled(*load(folder, 'test'))).split(BATCH)
    net.eval()
    with torch.no_grad():
        start = clock()
        for batch in batches:
            net.encode(batch)
        seconds = clock() - start
        recon = torch.cat([net(batch) for batch in batches])
    return [Found('', recon.numpy(), seconds)], effort


def astronn(folder, minutes, latent):
    "Leung and Bovy (2019), its convolutional variational autoencoder"
    import tensorflow
    from astroNN.models import ApogeeCVAE, base_master_nn
    keras = base_master_nn.tfk
    if not hasattr(keras, '__version__'):
        keras.__version__ = tensorflow.__version__  # astroNN asks for it
    flux, ivar = load(folder, 'train')
    on = (ivar > 0).any(0)  # it divides by the scatter of each pixel
    x, start = filled(flux, ivar)[:, on], clock()

    class Stop(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if clock() - start > 60 * minutes:
                self.model.stop_training = True

    net, stop = ApogeeCVAE(), Stop()
    net.latent_dim, net.max_epochs, net.callbacks, net.verbose = latent, 10_000, [stop], 0
    net.fit(x, x)
    effort = Effort(clock() - start, stop.steps * net.batch_size, net.keras_model.count_params())
    flux, ivar = load(folder, 'test')
    x, recon = filled(flux, ivar)[:, on], np.ones_like(flux)
    start = clock()
    net.predict_encoder(x)
    seconds = clock() - start
    recon[:, on] = np.asarray(net.predict(x)).reshape(x.shape)
    return [Found('', recon, seconds)], effort


RUN = dict(zip(METHODS, (ours, pca, weighted_pca, empca, spender, astronn)))


# -------------------------------------------------------------------------------------------------- the table
def judged(recon, flux, ivar, truth, labels):
    "Medians over the test stars: chi-square per pixel, that of faint ones, and distances from the truth"
    known, n = ivar > 0, (ivar > 0).sum(1)
    chi2 = (ivar * np.where(known, flux - recon, 0)**2).sum(1) / n
    rms = np.sqrt((np.where(known, recon - truth, 0)**2).sum(1) / n)
    of_kind = {kind: np.median(rms[labels.kind == kind]) for kind in KINDS}
    return dict(chi2=np.median(chi2), faint=np.median(chi2[labels.snr < FAINT]), rms=np.median(rms), **of_kind)


def one(method, folder, minutes, latent):
    "A method in this process: reconstructions into the folder, what it took on the output"
    found, effort = RUN[method](folder, minutes, latent)
    np.save(folder / 'recon.npy', np.stack([row.recon.astype(np.float32) for row in found]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([[(row.name, row.seconds) for row in found], *map(float, effort), peak]))


def rows_of(method, latent, given, folder):
    "Lines of the table"
    python = dict(spender=given.spender, astronn=given.astronn).get(method, sys.executable)
    command = [python, __file__, '--method', method, '--folder', folder, '--minutes', str(given.minutes),
               '--latents', str(latent)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        yield f'{method} is left out: {(run.stderr.strip().splitlines() or ["?"])[-1][:150]}'
        return
    import pandas as pd
    flux, ivar = load(folder, 'test')
    truth, labels = np.load(folder / 'truth.npy'), pd.read_csv(folder / 'labels.csv')
    names, trained, seen, parameters, peak = json.loads(run.stdout.strip().splitlines()[-1])
    for (more, seconds), recon in zip(names, np.load(folder / 'recon.npy')):
        how = judged(recon, flux, ivar, truth, labels)
        distances = ' | '.join(f'{how[name]:.5f}' for name in ('rms', *KINDS))
        yield (f'| {method}{more} | {latent} | {how["chi2"]:.3f} | {how["faint"]:.3f} | {distances} | '
               f'{seen / trained:,.0f} | {seen:,.0f} | {trained / 60:.1f} | {len(flux) / seconds:,.0f} | '
               f'{parameters:,.0f} | {peak:,.0f} |')


def table(given, folder):
    "All methods with all numbers of latents"
    import pandas as pd
    if not (folder / 'labels.csv').is_file():
        make(folder, given.train, given.test)
    truth, labels = np.load(folder / 'truth.npy'), pd.read_csv(folder / 'labels.csv')
    floor = judged(truth, *load(folder, 'test'), truth, labels)
    print(f'noise floor: chi2/pixel {floor["chi2"]:.4f}, S/N < {FAINT} {floor["faint"]:.4f}; {threads()} threads')
    print('| method | latents | chi2 | S/N < 150 | rms | giants | dwarfs | hot stars | train/s | seen | minutes | encode/s |'
          ' parameters | MiB |')
    print('|---|' + '---:|' * 13, flush=True)
    for method in given.only:
        for latent in given.latents:
            for line in rows_of(method, latent, given, folder):
                print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--train', type=int, default=20_000, help='stars')
    parser.add_argument('--test', type=int, default=2000, help='stars')
    parser.add_argument('--latents', type=int, nargs='+', default=[16])
    parser.add_argument('--spender', default=sys.executable, help='an interpreter that has it')
    parser.add_argument('--astronn', default=sys.executable, help='an interpreter that has it')
    parser.add_argument('--only', nargs='*', default=METHODS, choices=METHODS)
    parser.add_argument('--folder', type=Path, help='keep the stars here, and use those that are')
    parser.add_argument('--method', help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.method:
        one(given.method, given.folder, given.minutes, given.latents[0])
    elif given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        table(given, given.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            table(given, Path(folder))


if __name__ == '__main__':
    main()
