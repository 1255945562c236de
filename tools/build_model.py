"""Train the model that comes with the package, on simulated stars, and write its card.

    python tools/build_model.py [--stars 40000] [--epochs 40] [--out stellar_gen/assets/apogee-sim-16]
    python tools/build_model.py --calibrate

The stars are the simulator's survey with seed 11, a tenth of them held out for the choice of the best epoch; the card's
scores are of another survey, seed 12, and the normal stars that the model compares others with of a third, seed 13.
`--calibrate` chooses these anew for the model that is there, and trains nothing.
"""
import argparse, sys, tempfile, time
from pathlib import Path

from stellar_gen.anomaly import calibrate
from stellar_gen.simulate import simulate, simulate_store, true_flux
from stellar_gen.train import evaluate, latent_use, load_model, save_model, train_store

CARD = """# {name}

A variational autoencoder of APOGEE spectra with {latent} latents, {params:,} parameters, in half precision. `load_model('{name}')` loads it.

**Trained on** {n_train:,} simulated stars for {epochs} epochs ({hours:.1f} hours on two CPU cores) by `tools/build_model.py`: giants, dwarfs and hot stars of 3,500 to 40,000 K with the abundances of twenty elements, rotation, residual velocities, interstellar bands, sky, telluric lines, persistence and the other nuisances of `stellar_gen.simulate`, S/N 20 to 400. No observed spectrum was used, so that real stars, whose molecules and line lists differ from the models', stand out: fine-tune it on real spectra before you look for odd ones among them.

**Scores** on {n_test:,} other simulated stars. chi2: reduced chi-square, which noise alone brings to 1; rms: distance from the noiseless spectrum over the true continuum, which includes the error of the continuum.

| stars | S/N | number | chi2 | chi2 with the model's scatter | rms |
|---|---|---:|---:|---:|---:|
{rows}

Active latents: {active} of {latent}. It brings {n_normal:,} normal stars, simulated like these, to compare others with.
"""

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--stars', type=int, default=40_000); p.add_argument('--epochs', type=int, default=40); p.add_argument('--test', type=int, default=2000)
    p.add_argument('--out', type=Path, default=Path(__file__).parent.parent/'stellar_gen'/'assets'/'apogee-sim-16')
    p.add_argument('--work', type=Path, help='Folder for the survey and the training, kept, so that an interrupted run goes on')
    p.add_argument('--normal', type=int, default=4000, help='Normal stars to compare with'); p.add_argument('--calibrate', action='store_true')
    a = p.parse_args()
    def calibrated(): save_model(calibrate(load_model(a.out), simulate(a.normal, seed=13)), a.out, overwrite=True, half=True)
    if a.calibrate: card = (a.out/'card.md').read_text(); calibrated(); (a.out/'card.md').write_text(card); sys.exit()
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
        model = load_model(a.out)
        t = evaluate(model, test, true_flux(test.meta))
        groups = [(k,s,t[(t.kind==k) & (t.snr.between(*r))]) for k in ('giant','dwarf','hot') for s,r in (('below 100',(0,100)), ('100 to 200',(100,200)), ('above 200',(200,1e9)))]
        rows = '\n'.join(f'| {k} | {s} | {len(g)} | {g.chi2.median():.3f} | {g.chi2_scatter.median():.3f} | {g.rms_truth.median():.4f} |' for k,s,g in groups if len(g))
        card = CARD.format(name=a.out.name, latent=model.net.latent, params=sum(q.numel() for q in model.net.parameters()), n_train=model.info['n_train'], epochs=a.epochs, hours=hours, n_test=len(test), rows=rows, active=int(latent_use(model, test).active.sum()), n_normal=a.normal)
        (a.out/'card.md').write_text(card)
        print(card)
