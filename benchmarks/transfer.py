"""How many spectra of another survey a pre-trained model needs, against training from scratch; one run, one table.

    python benchmarks/transfer.py [--test 1000] [--numbers 100 200 500 1000 2000]

The other survey: resolving power 11,500 instead of 22,500, velocities 6 km/s off, line strengths wrong by up to 30 %.
Median reduced chi-square of its held-out stars at S/N below 150. Each training ends at the epoch that draws a tenth of its
spectra, held out, best.
"""
import argparse

import numpy as np
from stellar_gen.data import APOGEE_WAVE
from stellar_gen.preprocess import doppler_shift
from stellar_gen.simulate import observe, sample_labels, synthesize
from stellar_gen.train import KeepBest, evaluate, finish, load_model, spectra_dls, spectra_learner

def other_survey(n, seed):
    labels = sample_labels(n, seed).assign(resolution_blue=11500., resolution_green=11500., resolution_red=11500.)
    flux = np.maximum(1-(1+.3*np.sin(2*np.pi*APOGEE_WAVE/90))*(1-synthesize(labels)), .05)
    return observe(doppler_shift(flux, np.ones_like(flux), 6.)[0], labels, seed)

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--test', type=int, default=1000); p.add_argument('--numbers', type=int, nargs='*', default=[50,100,200,500,1000,2000]); p.add_argument('--passes', type=int, default=20_000, help='Star passes of each training, at least 20 a star')
    a = p.parse_args()
    model,test,pool = load_model('apogee-16'),other_survey(a.test, 1),other_survey(max(a.numbers), 2)
    shape = {k:v for k,v in model.net.config.items() if k in ('latent','hidden','coefs','heads','channels','scatter')}
    def chi2(m): t = evaluate(m, test); return t.chi2[t.snr<150].median()
    print(f'untouched: {chi2(model):.3f}')
    print(f'{"spectra":>8} {"scratch":>8} {"tuned":>8}')
    for n in a.numbers:
        out = []
        for start in (None,model):
            learn = spectra_learner(spectra_dls(pool[:n], bs=16 if n<500 else 32), start=start, metrics=[], cbs=[KeepBest()], **({} if start else shape))
            epochs = max(round(a.passes/n), 20)
            with learn.no_bar(),learn.no_logging():
                if start: learn.fine_tune(epochs*2//3, 2e-3, freeze_epochs=epochs//3, lr_mult=10)
                else: learn.fit_one_cycle(epochs)
            out.append(chi2(finish(learn)))
        print(f'{n:8,} {out[0]:8.3f} {out[1]:8.3f}', flush=True)
