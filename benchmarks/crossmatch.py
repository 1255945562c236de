"""Cross-matching at survey size, side by side with astropy; and how right it is on real catalogs. One run.

    python benchmarks/crossmatch.py [--shared ../shared/data] [--left 733901 --right 588571 --pairs 41940]

Each method runs in a process of its own, so that its peak memory is its own. The catalogs are synthetic, with known
truth: a part spread over the sky, a part clustered along the Galactic plane, proper motions, and 16.5 years between
the epochs. Astropy's methods get positions that were brought to one epoch beforehand; ours does it itself.
"""
import argparse, json, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np, pandas as pd
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from stellar_gen.crossmatch import crossmatch, id_to_position, propagate

def peak_mib():
    "Peak resident memory of this process since it began (unlike getrusage, without that of the process it was forked from)"
    return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])/1024

def sky(rng, n):
    "Positions (deg): two thirds in clusters along the Galactic plane, the rest anywhere"
    k = n*2//3
    clusters = rng.integers(0, 600, k)
    l,b = rng.uniform(0, 360, 600),rng.laplace(0, 5, 600)
    g = SkyCoord(l=(l[clusters]+rng.normal(0, .6, k))%360*u.deg, b=np.clip(b[clusters]+rng.normal(0, .6, k), -90, 90)*u.deg, frame='galactic').icrs
    ra,dec = rng.uniform(0, 360, n-k),np.degrees(np.arcsin(rng.uniform(-1, 1, n-k)))
    return np.r_[g.ra.deg, ra],np.r_[g.dec.deg, dec]

def catalogs(n, m, pairs, seed=0):
    rng = np.random.default_rng(seed)
    ra,dec = sky(rng, n+m-pairs)
    pm = rng.standard_t(3, (2,n+m-pairs))*8
    star = rng.permutation(n+m-pairs)
    i,j = star[:n],np.r_[star[:pairs], star[n:]]
    j = rng.permutation(j)
    left = pd.DataFrame(dict(ra=ra[i], dec=dec[i], pmra=pm[0,i], pmdec=pm[1,i], star=i)) # epoch 2016.0
    a,d = propagate(ra[j], dec[j], pm[0,j], pm[1,j], -16.5)
    e = rng.normal(0, .1, (2,m))/3600
    right = pd.DataFrame(dict(ra=(a+e[0]/np.cos(np.radians(d)))%360, dec=np.clip(d+e[1], -90, 90), star=j)) # epoch 1999.5
    return left,right

def judge(l, r, true): right = (l==r).sum(); return dict(recall=right/true, precision=right/max(len(l), 1), pairs=len(l))

def one(how, path):
    "Run one method; print what it did"
    left,right = (pd.read_parquet(Path(path)/f'{s}.parquet') for s in ('left','right'))
    true = len(np.intersect1d(left.star, right.star))
    t,cpu = time.perf_counter(),time.process_time()
    if how.startswith('stellar_gen'):
        m = crossmatch(left, right, 1., epochs=(2016.,1999.5) if 'epochs' in how else (None,None), errors=(None,.1))
        l,r = m.star_l.to_numpy(),m.star_r.to_numpy()
    else:
        a,b = SkyCoord(left.ra.to_numpy()*u.deg, left.dec.to_numpy()*u.deg),SkyCoord(right.ra.to_numpy()*u.deg, right.dec.to_numpy()*u.deg)
        if how=='match_to_catalog_sky':
            j,sep,_ = a.match_to_catalog_sky(b)
            i = np.flatnonzero(sep<1*u.arcsec); j = j[i]
        else: i,j,sep,_ = search_around_sky(a, b, 1*u.arcsec)
        l,r = left.star.to_numpy()[i],right.star.to_numpy()[j]
    t,cpu = time.perf_counter()-t,time.process_time()-cpu
    print(json.dumps(dict(seconds=t, cpu=cpu, peak=peak_mib(), **judge(l, r, true))))

def synthetic(a):
    with tempfile.TemporaryDirectory() as d:
        left,right = catalogs(a.left, a.right, a.pairs)
        ra,dec = propagate(left.ra, left.dec, left.pmra, left.pmdec, -16.5)
        for k,l in (('raw',left), ('moved',left.assign(ra=ra, dec=dec))):
            (Path(d)/k).mkdir(); l.to_parquet(Path(d)/k/'left.parquet'); right.to_parquet(Path(d)/k/'right.parquet')
        print(f'{len(left):,} x {len(right):,} rows, {a.pairs:,} true pairs, radius 1 arcsec')
        print(f'{"method":48} {"seconds":>8} {"ratio":>6} {"peak MiB":>9} {"recall":>8} {"precision":>9} {"pairs":>8}')
        fastest = None
        for how,data in (('match_to_catalog_sky','moved'), ('search_around_sky','moved'), ('stellar_gen one_to_one','moved'), ('stellar_gen one_to_one with epochs','raw'), ('stellar_gen one_to_one','raw')):
            runs = [json.loads(subprocess.run([sys.executable, __file__, '--one', how, '--data', f'{d}/{data}'], capture_output=True, text=True, check=True).stdout) for _ in range(2)]
            r = min(runs, key=lambda o: o['seconds'])
            if 'stellar' not in how: fastest = min(fastest or 1e9, r['seconds'])
            name = how+{'moved':', positions moved beforehand','raw':''}[data] if 'epochs' not in how else how
            if how=='stellar_gen one_to_one' and data=='raw': name += ' without epochs'
            print(f'{name:48} {r["seconds"]:8.2f} {r["seconds"]/fastest:6.2f} {r["peak"]:9,.0f} {r["recall"]:8.4f} {r["precision"]:9.4f} {r["pairs"]:8,}', flush=True)

def real(shared):
    from astropy.table import Table
    t = Table.read(shared/'catalogs'/'APOKASC_Catalog.v7.1.fits')
    apokasc = pd.DataFrame(dict(ra=np.asarray(t['RA'], float), dec=np.asarray(t['DEC'], float), id=[str(o).strip().lstrip('J') for o in t['2MASS ID']]))
    irfm = Table.read(shared/'catalogs'/'irfm_temp.fits')
    col = next(c for c in irfm.colnames if irfm[c].dtype.kind in 'SU')
    names = pd.Series([str(o).strip() for o in irfm[col]])
    named = id_to_position(names).assign(id=names.str.replace('^2M|^J', '', regex=True))
    named = named[named.ra.notna()].reset_index(drop=True)
    print(f'\nreal catalogs: {len(apokasc):,} APOKASC stars, {len(named):,} stars whose 2MASS name spells a position; truth by name')
    rng = np.random.default_rng(1)
    both = apokasc.id.isin(named.id).sum()
    def row(what, m): r = judge(m.id_l.to_numpy(), m.id_r.to_numpy(), both); print(f'{what:48} recall {r["recall"]:.4f} precision {r["precision"]:.4f} ({r["pairs"]:,} pairs of {both:,})')
    m = crossmatch(apokasc, named, 1.)
    row('as they are, 1 arcsec', m)
    row('as they are, 3 arcsec', crossmatch(apokasc, named, 3.))
    for r in m[m.id_l!=m.id_r].itertuples(): print(f'    {r.id_l} was matched with {r.id_r}, {r.sep_arcsec:.2f} arcsec away, {r.n_candidates} candidates')
    lost = apokasc[apokasc.id.isin(named.id) & ~apokasc.id.isin(m[m.id_l==m.id_r].id_l)]
    for r in lost.itertuples():
        o = named[named.id==r.id].iloc[0]
        sep = SkyCoord(r.ra*u.deg, r.dec*u.deg).separation(SkyCoord(o.ra*u.deg, o.dec*u.deg)).arcsec
        print(f'    {r.id} was not found: its catalog position lies {sep:.2f} arcsec from the one its name spells')
    pm = rng.standard_t(3, (2,len(apokasc)))*np.array([[12],[12]])
    ra,dec = propagate(apokasc.ra, apokasc.dec, *pm, 16.)
    later = apokasc.assign(ra=ra, dec=dec, pmra=pm[0], pmdec=pm[1])
    row('moved by 16 years, without propagation', crossmatch(later, named, 1.))
    row('moved by 16 years, with propagation', crossmatch(later, named, 1., epochs=(2016.,2000.)))

if __name__=='__main__':
    p = argparse.ArgumentParser()
    p.add_argument('--left', type=int, default=733_901); p.add_argument('--right', type=int, default=588_571); p.add_argument('--pairs', type=int, default=41_940)
    p.add_argument('--shared', type=Path, default=Path(__file__).parents[2]/'shared'/'data'); p.add_argument('--one'); p.add_argument('--data')
    a = p.parse_args()
    if a.one: one(a.one, a.data); sys.exit()
    synthetic(a)
    if a.shared.is_dir(): real(a.shared)
