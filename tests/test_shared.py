"Against reference data that lie beside a developer's checkout; skipped where they are not"
import numpy as np
import pandas as pd
from astropy.table import Table

LINE_APART = .35  # Å, at most, between a dip of a simulated spectrum and the line that makes it
AIR = 4.4         # Å by which wavelengths in the H band are smaller in air


def column(table, name):
    return np.asarray(table[name], float)


def distances(
    x,  # Positions (N,)
    y,  # Others
):
    "Distance of each position to the nearest of the others"
    return np.abs(np.asarray(x)[:, None] - np.asarray(y)[None]).min(1)


def listed_lines(shared):
    "Rows of the survey's line list: wavelength in air, and what makes the line"
    text = (shared / 'lines' / 'atlas_line_ids_apogee.txt').read_text()
    return [line.split(';')[:2] for line in text.splitlines() if ';' in line]


def test_bundled_spectra_are_the_originals(shared):
    from stellar_gen.data import read_spectrum, sample_paths
    for p in sample_paths():
        a, b = read_spectrum(p), read_spectrum(shared / 'apogee' / p.name[:-3])
        assert np.array_equal(a.flux, b.flux, equal_nan=True) and np.array_equal(a.bitmask, b.bitmask)
        assert np.allclose(a.ivar, b.ivar, rtol=1e-5)
        assert a.meta.drop(columns='file').equals(b.meta.drop(columns='file'))


def test_positions_match_names(shared):
    "APOKASC stars matched by position with the place their 2MASS name spells, judged by the KIC to 2MASS table"
    from stellar_gen.crossmatch import crossmatch, id_to_position
    t = Table.read(shared / 'catalogs' / 'APOKASC_Catalog.v7.1.fits')
    kic = np.asarray(t['KEPLER ID'], np.int64)
    left = pd.DataFrame(dict(ra=column(t, 'RA'), dec=column(t, 'DEC'), kic=kic))
    truth = pd.read_csv(shared / 'catalogs' / 'id_xmatch_apokasc.csv')
    named = id_to_position(truth['2MASS_ID']).assign(kic=truth.KEPLER_INT.to_numpy())
    m = crossmatch(left, named, radius=1)
    right = (m.kic_l == m.kic_r).sum()
    known = left.kic.isin(truth.KEPLER_INT).sum()
    # one star lies 1.04 arcsec from where its name says, and one carries another star's KIC number in the table
    assert known > 2700
    assert right > .999 * known and right > .999 * len(m), f'{right} of {known} found rightly, {len(m) - right} wrongly'


def test_lines_are_where_the_line_list_says(shared):
    "Deep simulated lines of the Sun coincide with identified lines: the wavelength scale is vacuum"
    from stellar_gen.data import APOGEE
    from stellar_gen.preprocess import air_to_vacuum
    from stellar_gen.simulate import synthesize
    lines = air_to_vacuum([float(wave) for wave, _ in listed_lines(shared)])
    sun = synthesize(pd.DataFrame(dict(teff=[5772.], logg=4.44, fe_h=0.)))[0]
    lowest = (sun[1:-1] < sun[:-2]) & (sun[1:-1] <= sun[2:])
    dips = APOGEE.wave[1:-1][lowest & (sun[1:-1] < .85) & APOGEE.lit[1:-1]]
    near = (distances(dips, lines) < LINE_APART).mean()
    assert len(dips) > 60 and near > .9
    assert near > 2 * (distances(dips, lines - AIR) < LINE_APART).mean()


def test_marked_lines_are_identified_lines(shared):
    "Every line of LINES is in the survey's line list or in a window of its element; phosphorus is in neither"
    from stellar_gen.data import LINES
    from stellar_gen.preprocess import air_to_vacuum
    rows = listed_lines(shared)
    windows = pd.read_csv(shared / 'lines' / 'element_masks_dr16.dat.gz', sep=r'\s+')
    for element, lines in LINES.items():
        listed = air_to_vacuum([float(wave) for wave, name in rows if name.strip().startswith(element + ' ')])
        columns = [c for c in (element, element + 'I') if c in windows]
        for line in lines:
            in_window = windows.loc[np.abs(windows.Wave - line) < .45, columns].to_numpy().max(initial=0) > 0
            in_list = np.abs(listed - line).min(initial=99) < .15
            assert element == 'P' or in_window or in_list, (element, line)


def test_positions_match_names_at_any_epoch(shared):
    "APOKASC stars and stars whose name spells their position: as they are, and moved by 16 years"
    from stellar_gen.crossmatch import crossmatch, id_to_position, match_ids, normalize_ids, propagate
    t = Table.read(shared / 'catalogs' / 'APOKASC_Catalog.v7.1.fits')
    stars = Table.read(shared / 'catalogs' / 'irfm_temp.fits')
    names = stars[next(c for c in stars.colnames if stars[c].dtype.kind in 'SU')]
    left = pd.DataFrame(dict(ra=column(t, 'RA'), dec=column(t, 'DEC'), id=normalize_ids(t['2MASS ID'])))
    right = id_to_position(names).assign(id=normalize_ids(names)).dropna().reset_index(drop=True)
    both = match_ids(left, right, 'id').left.nunique()
    assert both > 1700
    pmra, pmdec = np.random.default_rng(0).standard_t(3, (2, len(left))) * 12
    ra, dec = propagate(left.ra, left.dec, pmra, pmdec, 16.)
    later = left.assign(ra=ra, dec=dec, pmra=pmra, pmdec=pmdec)
    found = [
        (crossmatch(left, right), 1),
        (crossmatch(later, right), .95),
        (crossmatch(later, right, epochs=(2016., 2000.)), 1),
    ]
    for m, least in found:
        rightly = (m.id_l == m.id_r).sum()
        assert rightly >= least * both and rightly == len(m)
