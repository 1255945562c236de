"""Normalizing, shifting and resampling, side by side with what one would use instead. One run, one table.

    python benchmarks/preprocess.py [--n 5000]

The peers see the first of the spectra only (they are slow); rates are per spectrum. Bias is that of the continuum
that was found over the true one, in per cent: the median over a star's pixels, then the largest over types of star of
the median over stars. The last part prepares stores of growing size, each in a process of its own.
"""
import argparse, os, subprocess, sys, tempfile, time, warnings
from pathlib import Path

import numpy as np, pandas as pd
from astropy import units as u
from numpy.polynomial import Chebyshev
from stellar_gen.data import APOGEE_WAVE, CHIPS
from stellar_gen.preprocess import METHODS, continuum_normalize, continuum_pixels, doppler_shift, mask_bad, resample
from stellar_gen.simulate import observe, sample_labels, simulate_store, synthesize

warnings.simplefilter('ignore')

def peak_mib():
    "Peak resident memory of this process since it began (unlike getrusage, without that of the process it was forked from)"
    return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])/1024

def clock(f, *a):
    t = time.perf_counter(); r = f(*a)
    return r,time.perf_counter()-t

def numpy_loop(flux, ivar):
    "The same fit of the same pixels, star by star and chip by chip"
    out,pix = np.ones_like(flux),continuum_pixels()
    for k in range(len(flux)):
        for c in CHIPS.values():
            i = pix[(pix>=c.start) & (pix<c.stop)]
            i = i[ivar[k,i]>0]
            x = np.linspace(-1, 1, c.stop-c.start)
            out[k,c] = flux[k,c]/Chebyshev.fit(x[i-c.start], flux[k,i], 4, domain=[-1,1], w=ivar[k,i]**.5)(x)
    return out

def specutils_fit(flux, ivar):
    "specutils.fitting.fit_continuum with its defaults (a median filter and a Chebyshev polynomial), chip by chip"
    from specutils import Spectrum
    from specutils.fitting import fit_continuum
    out = np.ones_like(flux)
    for k in range(len(flux)):
        for c in CHIPS.values():
            ok = ivar[k,c]>0
            w = APOGEE_WAVE[c]
            f = np.interp(w, w[ok], flux[k,c][ok])
            s = Spectrum(flux=f*u.dimensionless_unscaled, spectral_axis=w*u.AA)
            out[k,c] = f/fit_continuum(s)(w*u.AA).value
    return out

ASTRONN = """
import sys, time, numpy as np
from astroNN.apogee import apogee_continuum
z = np.load(sys.argv[1]); t = time.perf_counter()
f,_ = apogee_continuum(z['flux'], z['err'], dr=17)
print(time.perf_counter()-t); np.save(sys.argv[2], f)
"""

def astronn(flux, ivar):
    "astroNN's apogee_continuum, in an environment of its own (`.venv-peers`), since it cannot live beside this package's"
    venv = Path(__file__).parents[1]/'.venv-peers'
    if not (venv/'bin'/'python').exists():
        subprocess.run([sys.executable, '-m', 'venv', venv], check=True)
        subprocess.run([venv/'bin'/'python', '-m', 'pip', 'install', '-q', 'torch==2.13.0', 'keras', 'astroNN', 'setuptools<81'], check=True)
    with tempfile.TemporaryDirectory() as d:
        ok = ivar>0
        np.savez(Path(d)/'in.npz', flux=np.where(ok, flux, 0), err=np.where(ok, 1/np.sqrt(np.where(ok, ivar, 1)), 1e10))
        r = subprocess.run([venv/'bin'/'python', '-W', 'ignore', '-c', ASTRONN, Path(d)/'in.npz', Path(d)/'out.npy'], capture_output=True, text=True, check=True, env={**os.environ, 'KERAS_BACKEND':'torch'})
        got,out = np.load(Path(d)/'out.npy'),np.ones_like(flux)
        if got.shape[1]!=7514: sys.exit(f'astroNN gives {got.shape[1]} pixels')
        at = 0
        for c in CHIPS.values(): out[:,c] = got[:,at:at+c.stop-c.start]; at += c.stop-c.start
        return out,float(r.stdout.split()[-1])

if __name__=='__main__':
    p = argparse.ArgumentParser(); p.add_argument('--n', type=int, default=5000); p.add_argument('--store')
    a = p.parse_args()
    if a.store:
        from stellar_gen.preprocess import preprocess_store
        s,t = clock(lambda: preprocess_store(a.store, a.store+'.ready', quiet=True))
        print(len(s), len(s)/t, peak_mib()); sys.exit()
    labels = sample_labels(a.n, seed=31).assign(snr=100., persistence=0., afterglow=0.)
    light = synthesize(labels)
    seen,clean = observe(light, labels, 31, clean=True)
    true,ivar = clean/light,mask_bad(seen.ivar, seen.bitmask)
    kinds = np.select([labels.kind=='hot', (labels.kind=='dwarf') & (labels.teff<4500), (labels.kind=='dwarf') & (labels.teff<6000), labels.kind=='dwarf', labels.teff<4200, labels.teff<4800], list('hmgfcd'), 'w')
    def bias(f):
        b = np.nanmedian(np.where(ivar[:len(f)]>0, seen.flux[:len(f)]/f/true[:len(f)], np.nan), axis=1)-1
        g = pd.Series(100*b).groupby(kinds[:len(f)]).median()
        return g[g.abs().idxmax()]
    print(f'{"normalize":46} {"per second":>11} {"ratio":>7} {"bias %":>7}')
    rows = {}
    for name,f,n in (('NumPy, star by star', numpy_loop, 300), ('specutils.fitting.fit_continuum', specutils_fit, 60)):
        r,t = clock(f, seen.flux[:n], ivar[:n]); rows[name] = n/t
        print(f'{name:46} {n/t:11,.0f} {n/t/rows["NumPy, star by star"]:7.2f} {bias(r):7.2f}', flush=True)
    r,t = astronn(seen.flux[:300], ivar[:300])
    print(f'{"astroNN apogee_continuum":46} {300/t:11,.0f} {300/t/rows["NumPy, star by star"]:7.2f} {bias(r):7.2f}', flush=True)
    for m in METHODS:
        (r,_),t = clock(continuum_normalize, seen.flux, ivar, m)
        print(f'{"stellar_gen, "+m:46} {a.n/t:11,.0f} {a.n/t/rows["NumPy, star by star"]:7.2f} {bias(r):7.2f}', flush=True)
    from specutils import Spectrum
    from specutils.manipulation import FluxConservingResampler, LinearInterpolatedResampler
    f,w = light[:200].astype(float),np.ones((200,8575))
    new = APOGEE_WAVE[10:-10]*(1+10/299792.458)
    print(f'{"shift and resample":46} {"per second":>11} {"ratio":>7} {"rms error":>10}')
    inside = slice(100,-100)
    want = synthesize(labels[:200].assign(rv=labels.rv[:200]-10))[:,10:-10] # the same stars, moved in Fourier space
    base = None
    for name,R in (('specutils FluxConservingResampler',FluxConservingResampler), ('specutils LinearInterpolatedResampler',LinearInterpolatedResampler)):
        def theirs(n): return np.stack([R()(Spectrum(flux=x*u.Jy, spectral_axis=APOGEE_WAVE*u.AA), new*u.AA).flux.value for x in f[:n]])
        r,t = clock(theirs, 20); base = base or 20/t
        print(f'{name:46} {20/t:11,.0f} {20/t/base:7.2f} {np.sqrt(((r-want[:20])[:,inside]**2).mean()):10.1e}', flush=True)
    for how in ('flux','lanczos'):
        (r,_),t = clock(resample, APOGEE_WAVE, f, w, new, how)
        print(f'{"stellar_gen resample, "+how:46} {200/t:11,.0f} {200/t/base:7.2f} {np.sqrt(((r-want)[:,inside]**2).mean()):10.1e}', flush=True)
    (r,_),t = clock(doppler_shift, f, w, -10.)
    print(f'{"stellar_gen doppler_shift":46} {200/t:11,.0f} {200/t/base:7.2f} {np.sqrt(((r[:,10:-10]-want)[:,inside]**2).mean()):10.1e}', flush=True)
    with tempfile.TemporaryDirectory() as d:
        print(f'{"preprocess_store":>20} {"per second":>11} {"peak MiB":>9}')
        for n in (5000,20000,50000):
            s = Path(d)/f's{n}'
            if n==5000: simulate_store(s, n, quiet=True)
            else:
                from stellar_gen.data import SpectraStore
                store,first = SpectraStore.create(s),SpectraStore(Path(d)/'s5000')
                for i in range(0, n, 1000): store.append(first[i%5000:i%5000+1000])
            m,rate,peak = subprocess.run([sys.executable, '-W', 'ignore', __file__, '--store', str(s)], capture_output=True, text=True, check=True).stdout.split()
            print(f'{int(m):20,} {float(rate):11,.0f} {float(peak):9,.0f}', flush=True)
