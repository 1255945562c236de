"""How well labels and types are read, how sure it is, and from how few labels.

    python benchmarks/classify.py [--test 6000] [--model apogee-16] [--pool 10000]

Test stars are the simulator's, with subgiants, supergiants, carbon-rich stars and fast rotators among them. Few labels: the
same small network learns from latents, from sixteen principal-component scores and from pixels (means of four, to save
memory), the same stars, the same number of steps.
"""
import argparse, tempfile, time
from pathlib import Path

import numpy as np, pandas as pd, torch
from stellar_gen.classify import (LABELS, LabelInputs, calibration_error, classify, coverage, label_inputs, label_targets,
    labeller_of, learn_labels_from, stellar_types, with_c_o)
from stellar_gen.simulate import simulate, simulate_store
from stellar_gen.train import load_model

MIX = dict(giant=50, dwarf=25, hot=10, subgiant=10, supergiant=5)
BINS = {'20-50':(0,50), '50-80':(50,80), '80-125':(80,125), 'above 125':(125,1e4)}

def table(rows, digits=3): print(pd.DataFrame(rows).round(digits).to_string(index=False), flush=True)

def accuracy(model, args):
    each = args.test//30
    s = simulate(args.test, 301, dict(carbon=each, rotation=each), np.random.default_rng(301).uniform(.1, 1.5, 2*each), MIX)
    start = time.perf_counter(); c = classify(model, s); rate = len(s)/(time.perf_counter()-start)
    true = with_c_o(s.meta)
    t = stellar_types(true)
    name = t.spectral+' '+t.luminosity
    ok,plain = (c.reason=='').to_numpy(),(s.meta.anomaly=='').to_numpy()
    right = (c.type.str.split(',').str[0]==name).to_numpy()
    fgk = true.teff.between(3870, 7220).to_numpy()
    print(f'{len(s):,} stars, {rate:,.0f} per second as read; silent about {(~ok[plain]).mean():.1%} of the ordinary ones\n\nF, G and K stars: root mean square errors')
    table([dict(snr=k, stars=int(g.sum()), **{o:((c[o]-true[o])[g]**2).mean()**.5 for o in LABELS}) for k,(lo,hi) in BINS.items() if (g := ok & plain & fgk & c.snr.between(lo, hi)).any()])
    print('\nShare within one and two stated errors, ordinary stars')
    table([dict(snr=k, **{f'{o} {n}e':coverage(c[o][g], c[f'e_{o}'][g], true[o][g], n) for o in ('teff','logg','fe_h','alpha_m') for n in (1,2)}) for k,(lo,hi) in BINS.items() if (g := ok & plain & c.snr.between(lo, hi)).any()], 2)
    print(f'\nTypes right, by S/N; expected calibration error {calibration_error(c.p_type[ok], right[ok]):.4f}')
    table([dict(type=k, **{b:right[g].mean() if (g := ok & plain & (name==k).to_numpy() & c.snr.between(lo, hi).to_numpy()).sum()>4 else np.nan for b,(lo,hi) in BINS.items()}) for k in sorted(name[plain].unique())]
        +[dict(type='all', **{b:right[ok & plain & c.snr.between(lo, hi).to_numpy()].mean() for b,(lo,hi) in BINS.items()})])
    print('\nCarbon-rich stars and fast rotators: how many are found (recall), and how many of those called so are (precision)')
    for kind,col in (('carbon_rich','p_carbon_rich'),('fast_rotator','p_fast_rotator')):
        for part,g in (('all',ok),('below 7,200 K',ok & (true.teff<7200).to_numpy())): said,is_ = (c[col]>.5)[g],t[kind][g]; print(f'  {kind}, {part}: recall {said[is_].mean():.2f}, precision {is_[said].mean():.2f}')

def few(model, args):
    with tempfile.TemporaryDirectory() as d:
        pool,test = (simulate_store(Path(d)/name, n, seed, quiet=True) for name,n,seed in (('pool',args.pool,302),('test',1500,303)))
        latents,pixels = [],[]
        for s in (pool,test):
            latents.append(label_inputs(model, s))
            ready = [model.recipe(s[i:i+1000]) for i in range(0, len(s), 1000)]
            pixels.append(np.concatenate([np.where(r.ivar>0, r.flux-1, 0)[:,:8572].reshape(len(r), -1, 4).mean(2) for r in ready]).astype(np.float32))
    mean = pixels[0].mean(0)
    torch.manual_seed(0)
    v = torch.svd_lowrank(torch.from_numpy(pixels[0]-mean), 16, niter=4)[2].numpy()
    kinds = dict(latents=[o.x for o in latents], components=[(x-mean)@v for x in pixels], pixels=pixels)
    names,rows = ['teff','logg','fe_h'],[]
    for n in (100,1000,args.pool):
        at = np.random.default_rng(0).permutation(args.pool)[:n]
        for k,(a,b) in kinds.items():
            inputs = LabelInputs(a[at].astype(np.float32), np.ones(n), latents[0].meta.iloc[at])
            m = learn_labels_from(load_model(args.model), inputs, names, 30, 0, 1e-3, members=1)
            mu, _ = labeller_of(m).read(b.astype(np.float32))
            r = np.abs(mu-label_targets(latents[1].meta, names)); r[:,0] *= latents[1].meta.teff
            rows.append(dict(labels=n, learned_from=k, **dict(zip(names, 1.4826*np.median(r, 0)))))
    print('\nFew labels: median errors (times 1.48) of all kinds of star')
    table(rows)

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--test', type=int, default=6000); p.add_argument('--pool', type=int, default=10_000); p.add_argument('--model', default='apogee-16')
    a = p.parse_args()
    model = load_model(a.model)
    accuracy(model, a)
    few(model, a)
