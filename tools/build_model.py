"""Train the model that comes with the package, and write its card.

    python tools/build_model.py [--data ../shared/data/real] [--stars 40000] [--epochs 30] [--work FOLDER]
    python tools/build_model.py --steps labels reference [--data ...]

The network is trained on the simulator's survey with seed 11 and on stars that look like real ones
(`tools/real_like.py`); a tenth of both is held out for the choice of the best epoch. Then the model's own error at each
pixel is set by stars like real ones; labels
are learned from a survey with more of the rare stars (seed 14) and from stars like real ones; and normal stars to
compare others with are simulated (seed 13) or like real ones. The card's scores are of another survey, seed 12.
`--steps` does some of it anew, for the model that is there. With `--work` an interrupted training goes on.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from real_like import elsewhere, real_like, some_dark
from stellar_gen.anomaly import calibrate
from stellar_gen.anomaly.reference import persistent_share
from stellar_gen.classify.labels import LabelInputs, label_inputs, learn_labels_from, set_label_floor
from stellar_gen.data.core import Spectra, concat
from stellar_gen.generate import learn_prior
from stellar_gen.model import TrainedModel, draw, evaluate, latent_use, load_model, save_model
from stellar_gen.simulate import simulate, simulate_store, true_flux
from stellar_gen.train import train_store

OUT = Path(__file__).parent.parent/'stellar_gen'/'assets'/'apogee-16'
REAL = Path(__file__).parent.parent/'benchmarks'/'real.py'
SURVEY, TEST, NORMAL, LABELLED, FLOOR = 11, 12, 13, 14, 15  # seeds
LEAST_ERROR = 1e-3      # of the model, of the continuum
ERROR_STARS = 1500      # like real ones, that the model's own error is measured on
REAL_TRAINED = 4000     # like real ones, among the stars trained on
STEPS = ['train', 'error', 'labels', 'floor', 'reference']
LABEL_STARS = 6000      # like real ones, to learn labels from
FLOOR_STARS = 1500      # like real ones, that the floor of the labels' errors is measured on
# How far labels of 1,651 giants are from DR10's corrected ones, rms; Teff as a share
SCALES = dict(teff=.011, logg=.136, fe_h=.079, alpha_m=.039)
NORMAL_REAL = .6        # share of the normal stars that are like real ones
NORMAL_CLEAN = .33      # share of those that are recorded as well as their errors say
NORMAL_MIX = dict(giant=52, dwarf=25, hot=10, cool_dwarf=13)  # of the others: every star needs a hundred neighbours
RARE_MIX = dict(giant=48, dwarf=24, hot=9, cool_dwarf=5, subgiant=9, supergiant=5)  # of the stars to learn labels from
RARE_KINDS = 1 / 30     # share of the carbon-rich, and of the fast rotators, among them
GROUPS = (('below 100', (0, 100)), ('100 to 200', (100, 200)), ('above 200', (200, 1e9)))  # by S/N

CARD = """# {name}

A variational autoencoder of APOGEE spectra with {latent} latents, {params:,} parameters, in half precision.
`load_model('{name}')` loads it.

**Trained on** {n_train:,} stars for {epochs} epochs ({hours:.1f} hours on two CPU cores) by
`tools/build_model.py`: a tenth of them like real giants and dwarfs, the others simulated: giants, dwarfs, cool dwarfs
down to 2,400 K and hot stars up to 40,000 K, with the abundances of twenty elements, rotation, residual velocities,
interstellar bands, sky, telluric lines, persistence and the other nuisances of `stellar_gen.simulate`, S/N 20 to 400.
The simulator is calibrated on real stars: 900 giants of DR10, dwarfs of 4,200 to 7,000 K, and real M dwarfs; no
spectrum of a single star was trained on.

**Label scale.** Teff, log g, [Fe/H] and [alpha/M] of giants are on the scale of DR10 (Ness et al. 2015), those of dwarfs
from 4,200 to 7,000 K on that of El-Badry et al. (2018), which differ from DR17's by up to 170 K for dwarfs; those of
hotter stars are the models'; the temperatures of dwarfs below 3,500 K follow spectral types (Pecaut & Mamajek 2013).
Other scales: beside the calibrated labels of DR10 in the APOKASC catalog (Pinsonneault et al. 2014; 1,651 giants in
common) [Fe/H] of giants is higher by 0.01 at +0.25, 0.04 at 0.08, 0.10 at -0.2 and 0.16 at -0.5, and Teff by 46 K. Errors
of a star that is drawn worse than others count how far apart the two scales are: 1.1 % in Teff, 0.14, 0.08 and 0.04 dex.

**Scores** on {n_test:,} other simulated stars. chi2: reduced chi-square, which noise alone brings to 1; stars differ from
the model beyond that, as real ones do, and `chi2 with the model's scatter` counts this as an error. rms: distance from
the noiseless spectrum over the true continuum, which includes the error of the continuum.

| stars | S/N | number | chi2 | chi2 with the model's scatter | rms |
|---|---|---:|---:|---:|---:|
{rows}

Active latents: {active} of {latent}. It brings {n_normal:,} normal stars to compare others with, three fifths of them like
real ones, and reads labels, learned from {n_labelled:,} stars.
"""


def own_error(model: TrainedModel, stars: Spectra) -> TrainedModel:
    "The model, whose own error at each pixel is what these stars differ by beyond their noise"
    ready = model.recipe(stars)
    ready = ready[persistent_share(ready) == 0]
    recon, _ = draw(model.net, ready.flux, ready.ivar)
    seen = ready.ivar > 0
    variance = np.where(seen, 1/np.where(seen, ready.ivar, 1), 0)
    excess = np.where(seen, (ready.flux - recon)**2 - variance, np.nan)
    most = 3*np.nanquantile(np.abs(excess), .9, axis=0)  # of a normal distribution, 3 scatters; beyond lies a defect
    excess = np.clip(excess, -most, most)
    squared = np.nanmean(excess, axis=0).clip(LEAST_ERROR**2)
    weight = np.where(seen, 1/(variance + squared), 0)                   # stars of high S/N show it better
    error = np.sqrt((np.nansum(weight*excess, axis=0)/weight.sum(0).clip(1e-30)).clip(LEAST_ERROR**2))
    with torch.no_grad():
        model.net.decoder.log_scatter.copy_(torch.as_tensor(np.log(np.nan_to_num(error, nan=LEAST_ERROR))))
    return model


def both(*inputs: LabelInputs) -> LabelInputs:
    "What labels are read from, of several sets of stars"
    *arrays, meta = zip(*inputs)
    return LabelInputs(*map(np.concatenate, arrays), pd.concat(meta, ignore_index=True))


def labelled(model: TrainedModel, n: int, data: Path, folder: Path) -> TrainedModel:
    "The model, with labels learned and with where stars of given labels are"
    rare = round(n*RARE_KINDS)
    amplitude = np.random.default_rng(LABELLED).uniform(.1, 1.5, 2*rare)
    survey = simulate_store(folder/'labelled', n, LABELLED, dict(carbon=rare, rotation=rare), amplitude, RARE_MIX,
                            overwrite=True)
    real = elsewhere(real_like(data, LABEL_STARS, LABELLED), LABELLED)
    inputs = both(label_inputs(model, survey), label_inputs(model, real))
    learn_labels_from(model, inputs)
    return learn_prior(model, survey, steps=5000)


def normal_stars(n: int, data: Path) -> Spectra:
    "Normal stars, simulated and like real ones"
    real = real_like(data, round(NORMAL_REAL*n), NORMAL, NORMAL_CLEAN)
    simulated = simulate(n - len(real), seed=NORMAL, mix=NORMAL_MIX)
    columns = ['apogee_id', 'snr']
    spectra = concat(o.replace(meta=o.meta[columns]) for o in (simulated, real))
    return some_dark(elsewhere(spectra, NORMAL), NORMAL)


def card(model: TrainedModel, n_test: int, n_normal: int, n_labelled: int) -> str:
    "What the model was trained on, and how it does on simulated stars"
    test = simulate(n_test, seed=TEST)
    scores = evaluate(model, test, true_flux(test.meta))
    rows = []
    for kind in ('giant', 'dwarf', 'hot', 'cool_dwarf'):
        for words, between in GROUPS:
            group = scores[(scores.kind == kind) & scores.snr.between(*between)]
            if len(group):
                values = f'{group.chi2.median():.3f} | {group.chi2_scatter.median():.3f} | {group.rms_truth.median():.4f}'
                rows.append(f'| {kind.replace("_", " ")} | {words} | {len(group)} | {values} |')
    info = model.info
    return CARD.format(
        name=OUT.name, latent=model.net.latent, params=sum(p.numel() for p in model.net.parameters()),
        n_train=info['n_train'], epochs=info['epochs'], hours=info['hours'], n_test=n_test, rows='\n'.join(rows),
        active=int(latent_use(model, test).active.sum()), n_normal=n_normal, n_labelled=n_labelled + LABEL_STARS)


def real_figures(model: Path, data: Path) -> str:
    "How a model does on real stars, as `benchmarks/real.py` prints it, without the single spectra"
    command = [sys.executable, REAL, '--model', model, '--data', data, '--only', 'scores', 'spectra']
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kept, single = [], False
    for line in printed.splitlines():
        if line.startswith('#'):
            single = line.startswith('### Each')
        if not single and line.startswith(('#', '|')):
            kept.append('#' + line if line.startswith('#') else line)
    return '\n' + '\n'.join(kept).replace('\n##', '\n\n##').replace('\n| figure', '\n\n| figure') + '\n'


def make_survey(folder: Path, stars: int, data: Path):
    "A store of simulated stars, and of some like real ones, to train on"
    store = simulate_store(folder/'simulated', stars - REAL_TRAINED, seed=SURVEY, overwrite=True)
    store.append(real_like(data, REAL_TRAINED, SURVEY))
    (folder/'simulated').rename(folder/'survey')


def trained(folder: Path, stars: int, epochs: int, data: Path) -> TrainedModel:
    "A model of the survey"
    if not (folder/'survey').exists():
        make_survey(folder, stars, data)
    start = time.time()
    model = train_store(folder/'survey', folder/'model', epochs=epochs, seed=0, scatter=True, log=folder/'losses.csv',
                        overwrite=True)
    model.info.update(note='simulated stars and some like real ones, tools/build_model.py', hours=round((time.time() - start)/3600, 2))
    return model


def build(args, folder: Path):
    "Train if asked, do the rest, save"
    if 'train' in args.steps:
        save_model(trained(folder, args.stars, args.epochs, args.data), args.out, overwrite=True, half=True)
    model = load_model(args.out)
    if 'error' in args.steps:
        model = own_error(model, real_like(args.data, ERROR_STARS, FLOOR))
    if 'labels' in args.steps:
        model = labelled(model, args.labelled, args.data, folder)
    if model.labeller is not None and {'error', 'labels', 'floor'} & set(args.steps):  # the floor rests on the others
        stars = elsewhere(real_like(args.data, FLOOR_STARS, FLOOR), FLOOR)
        model = set_label_floor(model, stars[persistent_share(stars) == 0], SCALES)
    if 'reference' in args.steps:
        model = calibrate(model, normal_stars(args.normal, args.data))
    save_model(model, args.out, overwrite=True, half=True)
    text = card(load_model(args.out), args.test, args.normal, args.labelled) + real_figures(args.out, args.data)
    (args.out/'card.md').write_text(text)
    print(text)


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', type=Path, default=Path('../shared/data/real'), help='Folder of the models of real stars')
    p.add_argument('--stars', type=int, default=40_000)
    p.add_argument('--epochs', type=int, default=28)
    p.add_argument('--test', type=int, default=2000)
    p.add_argument('--normal', type=int, default=6000, help='Normal stars to compare with')
    p.add_argument('--labelled', type=int, default=30_000, help='Simulated stars to learn labels from')
    p.add_argument('--steps', nargs='+', choices=STEPS, default=STEPS, help='What to do anew')
    p.add_argument('--out', type=Path, default=OUT)
    p.add_argument('--work', type=Path, help='Folder for the survey and the training, kept')
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        build(args, folder)
