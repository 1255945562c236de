"""Train the model that comes with the package, on simulated stars, and write its card.

    python tools/build_model.py [--stars 40000] [--epochs 40] [--out stellar_gen/assets/apogee-16]
    python tools/build_model.py --calibrate
    python tools/build_model.py --label

The stars are the simulator's survey with seed 11, a tenth of them held out for the choice of the best epoch; the card's
scores are of another survey, seed 12, and the normal stars that the model compares others with of a third, seed 13.
`--calibrate` chooses these anew for the model that is there, and trains nothing; `--label` learns labels, and where stars of given labels are, anew, from a
fourth survey, seed 14, that has more of the rare stars.
"""
import argparse, sys, tempfile, time
from pathlib import Path

import numpy as np
from stellar_gen.anomaly import calibrate
from stellar_gen.classify import learn_labels
from stellar_gen.generate import learn_prior
from stellar_gen.simulate import simulate, simulate_store, true_flux
from stellar_gen.train import evaluate, latent_use, load_model, save_model, train_store

CARD = """# {name}

A variational autoencoder of APOGEE spectra with {latent} latents, {params:,} parameters, in half precision. `load_model('{name}')` loads it.

**Trained on** {n_train:,} simulated stars for {epochs} epochs ({hours:.1f} hours on two CPU cores) by `tools/build_model.py`: giants, dwarfs and hot stars of 3,500 to 40,000 K with the abundances of twenty elements, rotation, residual velocities, interstellar bands, sky, telluric lines, persistence and the other nuisances of `stellar_gen.simulate`, S/N 20 to 400. No observed spectrum was used, so that real stars, whose molecules and line lists differ from the models', stand out: fine-tune it on real spectra before you look for odd ones among them.

**Scores** on {n_test:,} other simulated stars. chi2: reduced chi-square, which noise alone brings to 1; rms: distance from the noiseless spectrum over the true continuum, which includes the error of the continuum.

| stars | S/N | number | chi2 | chi2 with the model's scatter | rms |
|---|---|---:|---:|---:|---:|
{rows}

Active latents: {active} of {latent}. It brings {n_normal:,} normal stars, simulated like these, to compare others with, and reads labels, learned from {n_labelled:,} stars with more of the rare kinds.
"""

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--stars', type=int, default=40_000); p.add_argument('--epochs', type=int, default=40); p.add_argument('--test', type=int, default=2000)
    p.add_argument('--out', type=Path, default=Path(__file__).parent.parent/'stellar_gen'/'assets'/'apogee-16')
    p.add_argument('--work', type=Path, help='Folder for the survey and the training, kept, so that an interrupted run goes on')
    p.add_argument('--normal', type=int, default=4000, help='Normal stars to compare with'); p.add_argument('--calibrate', action='store_true')
    p.add_argument('--labelled', type=int, default=30_000, help='Stars to learn labels from'); p.add_argument('--label', action='store_true')
    a = p.parse_args()
    def calibrated(): save_model(calibrate(load_model(a.out), simulate(a.normal, seed=13)), a.out, overwrite=True, half=True)
    def labelled():
        each = a.labelled//30
        with tempfile.TemporaryDirectory() as d:
            s = simulate_store(Path(d)/'labelled', a.labelled, 14, dict(carbon=each, rotation=each), np.random.default_rng(14).uniform(.1, 1.5, 2*each), dict(giant=50, dwarf=25, hot=10, subgiant=10, supergiant=5))
            save_model(learn_prior(learn_labels(load_model(a.out), s), s, steps=5000), a.out, overwrite=True, half=True)
    if a.calibrate or a.label:
        card = (a.out/'card.md').read_text()
        if a.calibrate: calibrated()
        if a.label: labelled()
        (a.out/'card.md').write_text(card); sys.exit()
    with tempfile.TemporaryDirectory() as d:
        d = a.work or Path(d); d.mkdir(parents=True, exist_ok=True)
        if not (d/'survey').exists(): simulate_store(d/'survey', a.stars, seed=11)
        start = time.time()
        model = train_store(d/'survey', d/'model', epochs=a.epochs, seed=0, scatter=True, log=d/'losses.csv', overwrite=True)
        hours = (time.time()-start)/3600
        test = simulate(a.test, seed=12)
        model.info.update(note='simulated stars, tools/build_model.py', hours=round(hours, 2))
        save_model(model, a.out, overwrite=True, half=True)
        calibrated()
        labelled()
        model = load_model(a.out)
        t = evaluate(model, test, true_flux(test.meta))
        groups = [(k,s,t[(t.kind==k) & (t.snr.between(*r))]) for k in ('giant','dwarf','hot') for s,r in (('below 100',(0,100)), ('100 to 200',(100,200)), ('above 200',(200,1e9)))]
        rows = '\n'.join(f'| {k} | {s} | {len(g)} | {g.chi2.median():.3f} | {g.chi2_scatter.median():.3f} | {g.rms_truth.median():.4f} |' for k,s,g in groups if len(g))
        card = CARD.format(name=a.out.name, latent=model.net.latent, params=sum(q.numel() for q in model.net.parameters()), n_train=model.info['n_train'], epochs=a.epochs, hours=hours, n_test=len(test), rows=rows, active=int(latent_use(model, test).active.sum()), n_normal=a.normal, n_labelled=a.labelled)
        (a.out/'card.md').write_text(card)
        print(card)
