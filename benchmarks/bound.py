"""How much chi2 sixteen numbers must leave, whatever the network.

    python benchmarks/bound.py [--stars 150] [--snr 100]

Around each simulated star the spectrum is a linear function of its labels, whose scatter is known. The best L numbers
keep the L strongest directions of that function in units of the noise; what the others would have explained is left
in chi2. The ripple of the fibres, which no latent knows, is added below.
"""
import argparse

import numpy as np, pandas as pd
from stellar_gen.data import CHIPS
from stellar_gen.simulate import ELEMENTS, sample_labels, synthesize
from stellar_gen.simulate.stars import ABUNDANCE_SCATTER

STEP = dict(teff=20, logg=.03, fe_h=-.02, vsini=1, vmacro=.3, rv=.1, a_v=.05, dib_v=2, resolution_blue=100, resolution_green=100, resolution_red=100)
WIDTH = dict(teff=1000, logg=1, fe_h=.3, dib_v=60, resolution_blue=560, resolution_green=560, resolution_red=560) # of the population; the resolution's from fibre to fibre
BY_KIND = dict(
    vsini=dict(giant=3, dwarf=15, hot=60, cool_dwarf=15),
    rv=dict(giant=.3, dwarf=.5, hot=3, cool_dwarf=.5),
    a_v=dict(giant=1, dwarf=.2, hot=.2, cool_dwarf=.2),
)

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--stars', type=int, default=150); p.add_argument('--snr', type=float, default=100); p.add_argument('--latents', type=int, nargs='*', default=[8,12,16,20,24])
    a = p.parse_args()
    step = STEP | {f'{e.lower()}_fe':.02 for e in ELEMENTS}
    labels,on,rows = sample_labels(a.stars, 0),np.concatenate([np.arange(8575)[c] for c in CHIPS.values()]),[]
    for m in labels.to_dict('records'):
        signs = [-1 if n=='teff' and m['teff']>20000 else 1 for n in step]
        near = pd.DataFrame([m]+[{**m, n:m[n]+s*d} for (n,d),s in zip(step.items(), signs)])
        try: flux = synthesize(near)[:,on]
        except ValueError: continue # at the edge of the models
        width = [BY_KIND[n][m['kind']] if n in BY_KIND else .25*m['vmacro'] if n=='vmacro' else WIDTH.get(n) or ABUNDANCE_SCATTER[next(e for e in ELEMENTS if f'{e.lower()}_fe'==n)] for n in step]
        J = (flux[1:]-flux[0])/np.array([s*d for d,s in zip(step.values(), signs)])[:,None]*np.array(width)[:,None]*a.snr
        strength = np.sort(np.linalg.eigvalsh(J@J.T))[::-1]/len(on)
        rows.append([m['kind']]+[strength[k:].sum() for k in a.latents])
    t = pd.DataFrame(rows, columns=['kind']+[f'{k} latents' for k in a.latents])
    print(f'chi2/pixel left at S/N {a.snr:g}, median of {len(t)} stars')
    print(pd.concat([t.groupby('kind').median(), t.drop(columns='kind').median().to_frame('all').T]).round(4).to_string())
    print(f'ripple of the fibres: {(a.snr*.002)**2/2:.3f} (amplitude 0.002)')
