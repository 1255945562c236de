"Against reference data that lie beside a developer's checkout; skipped where they are not"
import numpy as np, pandas as pd
from astropy.table import Table

def test_bundled_spectra_are_the_originals(shared):
    from stellar_gen.data import read_spectrum, sample_paths
    for p in sample_paths():
        a,b = read_spectrum(p),read_spectrum(shared/'apogee'/p.name[:-3])
        assert np.array_equal(a.flux, b.flux, equal_nan=True) and np.array_equal(a.bitmask, b.bitmask)
        assert np.allclose(a.ivar, b.ivar, rtol=1e-5)
        assert a.meta.drop(columns='file').equals(b.meta.drop(columns='file'))

def test_positions_match_names(shared):
    "APOKASC stars matched by position with the place their 2MASS name spells, judged by the KIC to 2MASS table"
    from stellar_gen.crossmatch import crossmatch, id_to_position
    t = Table.read(shared/'catalogs'/'APOKASC_Catalog.v7.1.fits')
    left = pd.DataFrame(dict(ra=np.asarray(t['RA'], float), dec=np.asarray(t['DEC'], float), kic=np.asarray(t['KEPLER ID'], np.int64)))
    truth = pd.read_csv(shared/'catalogs'/'id_xmatch_apokasc.csv')
    m = crossmatch(left, id_to_position(truth['2MASS_ID']).assign(kic=truth.KEPLER_INT.to_numpy()), radius=1)
    right,known = (m.kic_l==m.kic_r).sum(),left.kic.isin(truth.KEPLER_INT).sum()
    # one star lies 1.04 arcsec from where its name says, and one carries another star's KIC number in the table
    assert known>2700 and right>.999*known and right>.999*len(m), f'{right} of {known} stars found rightly, {len(m)-right} wrongly'

def test_lines_are_where_the_line_list_says(shared):
    "Deep simulated lines of the Sun coincide with identified lines: the wavelength scale is vacuum"
    from stellar_gen.data import APOGEE_WAVE, CHIPS
    from stellar_gen.preprocess import air_to_vacuum
    from stellar_gen.simulate import synthesize
    rows = [l.split(';')[0] for l in open(shared/'lines'/'atlas_line_ids_apogee.txt') if ';' in l]
    lines = np.sort(air_to_vacuum([float(r) for r in rows]))
    f = synthesize(pd.DataFrame(dict(teff=[5772.], logg=4.44, fe_h=0.)))[0]
    inside = np.zeros(len(f), bool)
    for c in CHIPS.values(): inside[c] = True
    dips = np.flatnonzero((f[1:-1]<f[:-2]) & (f[1:-1]<=f[2:]) & (f[1:-1]<.85) & inside[1:-1])+1
    near = np.abs(lines[np.searchsorted(lines, APOGEE_WAVE[dips]).clip(1, len(lines)-1)[:,None]+[-1,0]]-APOGEE_WAVE[dips][:,None]).min(1)
    assert len(dips)>60 and (near<.35).mean()>.9
    air = np.abs(np.sort(lines)[None]-4.4-APOGEE_WAVE[dips][:,None]).min(1)
    assert (near<.35).mean() > 2*(air<.35).mean()

def test_marked_lines_are_identified_lines(shared):
    "Every line of LINES is in the survey's line list or in a window of its element; phosphorus is in neither"
    from stellar_gen.data import LINES
    from stellar_gen.preprocess import air_to_vacuum
    rows = [l.split(';') for l in open(shared/'lines'/'atlas_line_ids_apogee.txt') if ';' in l]
    windows = pd.read_csv(shared/'lines'/'element_masks_dr16.dat.gz', sep=r'\s+')
    for e,lines in LINES.items():
        listed = air_to_vacuum([float(w) for w,n,*_ in rows if n.strip().startswith(e+' ')])
        for l in lines:
            seen = windows.loc[np.abs(windows.Wave-l)<.45, [c for c in (e,e+'I') if c in windows]].to_numpy().max(initial=0)>0
            assert e=='P' or seen or np.abs(listed-l).min(initial=99)<.15, (e,l)

def test_positions_match_names_at_any_epoch(shared):
    "APOKASC stars and stars whose name spells their position: as they are, and moved by 16 years"
    from stellar_gen.crossmatch import crossmatch, id_to_position, match_ids, normalize_ids, propagate
    t,names = Table.read(shared/'catalogs'/'APOKASC_Catalog.v7.1.fits'),Table.read(shared/'catalogs'/'irfm_temp.fits')
    column = next(c for c in names.colnames if names[c].dtype.kind in 'SU')
    left = pd.DataFrame(dict(ra=np.asarray(t['RA'], float), dec=np.asarray(t['DEC'], float), id=normalize_ids(t['2MASS ID'])))
    right = id_to_position(names[column]).assign(id=normalize_ids(names[column])).dropna().reset_index(drop=True)
    both = match_ids(left, right, 'id').left.nunique()
    assert both>1700
    pm = np.random.default_rng(0).standard_t(3, (2,len(left)))*12
    ra,dec = propagate(left.ra, left.dec, *pm, 16.)
    later = left.assign(ra=ra, dec=dec, pmra=pm[0], pmdec=pm[1])
    for m,least in ((crossmatch(left, right), 1), (crossmatch(later, right), .95), (crossmatch(later, right, epochs=(2016.,2000.)), 1)):
        right_ones = (m.id_l==m.id_r).sum()
        assert right_ones>=least*both and right_ones==len(m)
