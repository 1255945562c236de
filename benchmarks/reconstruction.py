"""How well sixteen numbers hold a spectrum, and how fast: ours and its peers, on the same data, for the same time.

    python benchmarks/reconstruction.py [--minutes 10] [--train 20000] [--test 2000] [--latent 16]
        [--spender PYTHON] [--astronn PYTHON] [--only METHOD ...]

Simulated stars with every nuisance of the instrument, at S/N of 50 to 250; the test stars are others. Every method
runs in a process of its own, one after another, on all cores. spender and astroNN may live in other environments
(astroNN needs TensorFlow and NumPy 1): name their interpreters. A method that cannot be imported is left out, and says so.

The truth is the noiseless record of each star, normalized by the continuum that was found in the noisy one: what a
perfect denoiser of this very spectrum would give. chi2/pixel of that truth, the noise floor, is printed too.
"""
import argparse, json, math, resource, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np

METHODS = ['ours','pca','weighted pca','empca','spender','astronn']

# --------------------------------------------------------------------------------------------------- the data
def part(seed, first, n):
    from stellar_gen.preprocess import Recipe
    from stellar_gen.simulate import observe, sample_labels, synthesize
    labels = sample_labels(n, seed, first=first)
    labels['snr'] = 50+200*np.array([np.random.default_rng([seed,first+i,7]).random() for i in range(n)])
    spectra,clean = observe(synthesize(labels), labels, seed, first=first, clean=True)
    ready = Recipe()(spectra)
    ok = (ready.ivar>0) & (ready.flux!=0)
    truth = np.where(ok, clean*np.where(ok, ready.flux, 1)/np.where(ok, spectra.flux, 1), 1)
    return ready.flux,ready.ivar,truth.astype(np.float32),labels[['kind','snr']]

def make(folder, n_train, n_test):
    import pandas as pd
    from joblib import Parallel, delayed
    for name,seed,n in (('train',101,n_train), ('test',202,n_test)):
        flux,ivar,truth,labels = zip(*Parallel(-1)(delayed(part)(seed, i, min(500, n-i)) for i in range(0, n, 500)))
        np.save(folder/f'{name}_flux.npy', np.concatenate(flux)); np.save(folder/f'{name}_ivar.npy', np.concatenate(ivar))
        if name=='test':
            np.save(folder/'truth.npy', np.concatenate(truth))
            pd.concat(labels, ignore_index=True).to_csv(folder/'labels.csv', index=False)

def load(folder, name): return np.load(folder/f'{name}_flux.npy'),np.load(folder/f'{name}_ivar.npy')

# --------------------------------------------------------------------------------------------------- the methods
# each returns rows of (addition to the name, reconstruction of the test stars, seconds of encoding), and seconds of training, spectra seen, parameters
def ours(folder, minutes, latent):
    import torch
    from fastai.basics import DataLoaders
    from stellar_gen.data import APOGEE_WAVE, Spectra
    from stellar_gen.preprocess import Recipe
    from stellar_gen.train import SpectraDL, spectra_learner
    flux,ivar = load(folder, 'train')
    bs,spectra = 64,Spectra(APOGEE_WAVE, flux, ivar)
    rows = np.random.default_rng(0).permutation(len(spectra))
    dls = DataLoaders(SpectraDL(spectra, np.sort(rows[200:]), bs, shuffle=True, drop_last=True), SpectraDL(spectra, np.sort(rows[:200]), 4*bs))
    dls.recipe = Recipe()
    def learner(): return spectra_learner(dls, latent=latent, metrics=[])
    start = time.perf_counter()
    learn = learner()
    setup,net = time.perf_counter()-start,learn.model
    opt,it = torch.optim.Adam(net.parameters(), fused=True),(b for _ in range(99) for b in dls.train)
    def step(): b = next(it); loss = learn.loss_func(net(*b[:2]), *b[2:]); opt.zero_grad(); loss.backward(); opt.step()
    for _ in range(5): step()
    t = time.perf_counter()
    for _ in range(40): step()
    rate = 40*bs/(time.perf_counter()-t)
    epochs = max(int((60*minutes-setup)*rate*.93/(len(rows)-200)), 1) # a little less than the budget: epochs are whole, and a Learner has more to do
    learn,start = learner(),time.perf_counter()
    with learn.no_bar(),learn.no_logging(): learn.fit_one_cycle(epochs)
    trained = time.perf_counter()-start+setup
    flux,ivar = map(torch.from_numpy, load(folder, 'test'))
    net,out = learn.model.eval(),[]
    parts = list(zip(flux.split(64), ivar.split(64)))
    with torch.no_grad():
        for name,refine in (('',1), (', encoder alone',0)):
            def encode(f, v): z = net.encode(f, v).latents; return net.newton(z, f, v).latents if refine else z
            start = time.perf_counter()
            for f,v in parts: encode(f, v)
            encoded = time.perf_counter()-start
            out.append((name,torch.cat([net.infer(f, v, refine=refine).flux for f,v in parts]).numpy(),encoded))
    return out,trained,epochs*len(dls.train)*bs,sum(p.numel() for p in net.parameters())

def _filled(flux, ivar): return np.where(ivar>0, flux, 1)

def _project(flux, ivar, mean, basis, weighted):
    d = np.where(ivar>0, flux-mean, 0)
    if not weighted: return mean+(d@basis.T)@basis
    return np.stack([mean+np.linalg.solve((basis*w)@basis.T, basis@(w*r))@basis for r,w in zip(d, ivar)])

def pca(folder, minutes, latent, weighted=False):
    from sklearn.decomposition import PCA
    flux,ivar = load(folder, 'train')
    x,start = _filled(flux, ivar),time.perf_counter()
    p = PCA(latent, svd_solver='randomized', random_state=0).fit(x)
    trained,(flux,ivar) = time.perf_counter()-start,load(folder, 'test')
    start = time.perf_counter()
    out = _project(flux, ivar, p.mean_, p.components_, weighted)
    return [('',out,time.perf_counter()-start)],trained,len(x),p.components_.size+p.mean_.size

def weighted_pca(folder, minutes, latent): return pca(folder, minutes, latent, True)

def empca(folder, minutes, latent):
    "Bailey (2012): alternate between the coefficients of every star and each component, with all the weights, until a round gains less than a thousandth of chi-square"
    flux,ivar = load(folder, 'train')
    start = time.perf_counter()
    mean = (ivar*_filled(flux, ivar)).sum(0)/np.maximum(ivar.sum(0), 1e-9)
    mean[ivar.sum(0)==0] = 1
    d = np.where(ivar>0, flux-mean, 0).astype(np.float32)
    basis,seen = np.linalg.qr(np.random.default_rng(0).standard_normal((d.shape[1],latent)))[0].T.astype(np.float32),0
    last,now = np.inf,1e30
    while time.perf_counter()-start<.95*60*minutes and now<.999*last:
        c = np.empty((len(d),latent), np.float32)
        for i,(r,w) in enumerate(zip(d, ivar)): c[i] = np.linalg.solve((basis*w)@basis.T+1e-9*np.eye(latent), basis@(w*r))
        left = d.copy()
        for k in range(latent):
            basis[k] = c[:,k]@(ivar*left)/np.maximum(c[:,k]**2@ivar, 1e-9)
            left -= c[:,k:k+1]*basis[k]
        last,now = now,(ivar*left**2).sum(dtype=float)
        basis = np.linalg.qr(basis.T)[0].T.astype(np.float32)
        seen += len(d)
    trained,(flux,ivar) = time.perf_counter()-start,load(folder, 'test')
    start = time.perf_counter()
    out = _project(flux, ivar, mean, basis, True)
    return [('',out,time.perf_counter()-start)],trained,seen,basis.size+mean.size

def spender(folder, minutes, latent):
    import torch
    from spender import SpectrumAutoencoder
    from spender.instrument import Instrument
    torch.manual_seed(0)
    flux,ivar = load(folder, 'train')
    x,w = torch.from_numpy(_filled(flux, ivar)),torch.from_numpy(ivar)
    wave = torch.from_numpy(10**(4.179+6e-6*np.arange(x.shape[1]))).float()
    class Apogee(Instrument):
        def __init__(self): super().__init__(wave)
    net = SpectrumAutoencoder(Apogee(), wave, n_latent=latent)
    opt,bs,seen,start = torch.optim.Adam(net.parameters(), 2e-3),64,0,time.perf_counter()
    g = torch.Generator().manual_seed(0)
    while (f := (time.perf_counter()-start)/(60*minutes))<1:
        for o in opt.param_groups: o['lr'] = 2e-3*(f/.1 if f<.1 else .5+.5*math.cos(math.pi*(f-.1)/.9))
        i = torch.randint(0, len(x), (bs,), generator=g)
        loss = net.loss(x[i], w[i])/bs
        opt.zero_grad(); loss.backward(); opt.step(); seen += bs
    trained,(flux,ivar) = time.perf_counter()-start,load(folder, 'test')
    x,out = torch.from_numpy(_filled(flux, ivar)),[]
    net.eval()
    with torch.no_grad():
        start = time.perf_counter()
        for i in range(0, len(x), 64): net.encode(x[i:i+64])
        encoded = time.perf_counter()-start
        for i in range(0, len(x), 64): out.append(net(x[i:i+64]))
    return [('',torch.cat(out).numpy(),encoded)],trained,seen,sum(p.numel() for p in net.parameters())

def astronn(folder, minutes, latent):
    import tensorflow
    from astroNN.models import ApogeeCVAE, base_master_nn
    keras = base_master_nn.tfk
    if not hasattr(keras, '__version__'): keras.__version__ = tensorflow.__version__ # astroNN asks for it
    flux,ivar = load(folder, 'train')
    on = (ivar>0).any(0) # it divides by the scatter of each pixel
    x,start = _filled(flux, ivar)[:,on],time.perf_counter()
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.n = getattr(self, 'n', 0)+1
            if time.perf_counter()-start>60*minutes: self.model.stop_training = True
        def on_epoch_end(self, epoch, logs=None): self.on_train_batch_end(0)
    net,stop = ApogeeCVAE(),Stop()
    net.latent_dim,net.max_epochs,net.callbacks,net.verbose = latent,10_000,[stop],0
    net.fit(x, x)
    trained,seen,(flux,ivar) = time.perf_counter()-start,stop.n*net.batch_size,load(folder, 'test')
    x,full = _filled(flux, ivar)[:,on],np.ones_like(flux)
    start = time.perf_counter()
    net.predict_encoder(x)
    encoded = time.perf_counter()-start
    full[:,on] = np.asarray(net.predict(x)).reshape(x.shape)
    return [('',full,encoded)],trained,seen,net.keras_model.count_params()

RUN = dict(zip(METHODS, (ours,pca,weighted_pca,empca,spender,astronn)))

# --------------------------------------------------------------------------------------------------- the table
def judge(recon, flux, ivar, truth, labels):
    n,ok = (ivar>0).sum(1),ivar>0
    chi2 = (ivar*np.where(ok, flux-recon, 0)**2).sum(1)/n
    rms = np.sqrt((np.where(ok, recon-truth, 0)**2).sum(1)/n)
    faint = labels.snr.to_numpy()<150
    return dict(chi2=np.median(chi2), faint=np.median(chi2[faint]), rms=np.median(rms), **{k:np.median(rms[labels.kind==k]) for k in ('giant','dwarf','hot')})

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--minutes', type=float, default=10); p.add_argument('--train', type=int, default=20_000); p.add_argument('--test', type=int, default=2000)
    p.add_argument('--latent', type=int, default=16); p.add_argument('--spender', default=sys.executable); p.add_argument('--astronn', default=sys.executable)
    p.add_argument('--only', nargs='*', default=METHODS); p.add_argument('--method'); p.add_argument('--folder', type=Path)
    a = p.parse_args()
    if a.method:
        rows,*rest = RUN[a.method](a.folder, a.minutes, a.latent)
        np.save(a.folder/'recon.npy', np.stack([np.asarray(r, np.float32) for _,r,_ in rows]))
        print(json.dumps([[(n,t) for n,_,t in rows]]+[float(o) for o in rest]+[resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024]))
        sys.exit()
    import pandas as pd
    with tempfile.TemporaryDirectory() as d:
        d = a.folder or Path(d)
        if not (d/'labels.csv').is_file(): make(d, a.train, a.test)
        flux,ivar = load(d, 'test')
        truth,labels = np.load(d/'truth.npy'),pd.read_csv(d/'labels.csv')
        floor = judge(truth, flux, ivar, truth, labels)
        print(f'noise floor: chi2/pixel {floor["chi2"]:.4f}, S/N < 150 {floor["faint"]:.4f}')
        print(f'{"method":20} {"chi2":>7} {"S/N<150":>7} {"rms":>8} {"giants":>8} {"dwarfs":>8} {"hot":>8} {"train/s":>8} {"seen":>9} {"minutes":>7} {"encode/s":>8} {"params":>11} {"MiB":>7}')
        for m in a.only:
            python = dict(spender=a.spender, astronn=a.astronn).get(m, sys.executable)
            r = subprocess.run([python, __file__, '--method', m, '--folder', d, '--minutes', str(a.minutes), '--latent', str(a.latent)], capture_output=True, text=True)
            if r.returncode: print(f'{m:20} left out: {(r.stderr.strip().splitlines() or ["?"])[-1][:150]}', flush=True); continue
            rows,trained,seen,params,peak = json.loads(r.stdout.strip().splitlines()[-1])
            for (more,encoded),recon in zip(rows, np.load(d/'recon.npy')):
                j = judge(recon, flux, ivar, truth, labels)
                print(f'{m+more:20} {j["chi2"]:7.3f} {j["faint"]:7.3f} {j["rms"]:8.5f} {j["giant"]:8.5f} {j["dwarf"]:8.5f} {j["hot"]:8.5f} {seen/trained:8,.0f} {seen:9,.0f} {trained/60:7.1f} {len(flux)/encoded:8,.0f} {params:11,.0f} {peak:7,.0f}', flush=True)
