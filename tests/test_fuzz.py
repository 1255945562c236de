"""Headers, columns and configurations that nobody would write, to everything that reads

The rule: a value, or one line that names the file; never a hang, never more than a gigabyte.
"""
import contextlib
import io
import json
import resource
import signal
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from json_trees import setting, with_change

OTHERS = 300     # examples of files of other surveys
SECONDS = 120    # for one example, which takes less than one, on a machine with other work
GIGABYTE = 2**30
BOUNDED = dict(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@contextlib.contextmanager
def bounded():
    "No hang, no warning, and no more than a gigabyte of memory"
    def hang(*_):
        raise TimeoutError('hangs')

    def most():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    before = most()
    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            yield
    finally:
        signal.alarm(0)
    assert most() - before < GIGABYTE


def is_one_line(said, name):
    "Whether an error is a line that names the file, as a terminal can show it"
    return said.isprintable() and name in said and len(said) < 1000


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    return tmp_path_factory.mktemp('fuzz')


# -------------------------------------------------------------------------------------------------------------- FITS headers
numbers = st.one_of(st.integers(-2**65, 2**65), st.sampled_from([0, 1, -1, 2, 8, 16, 32, 64, -32, -64, 999, 8575, 10**9, -2881]),
                    st.floats(width=64))
values = st.one_of(
    numbers.map(str),
    st.sampled_from(['T', 'F', "''", 'NaN', '-inf', '1,5', '(1, 2)', "'8575E'", "'1PE(9)'", "'A'", "'1000000000E'", "'0J'",
                     "'BINTABLE'", "'IMAGE'", "'deg'", "'-9999'"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(lambda text: "'{}'".format(text.replace("'", "''"))),
)
structure = st.sampled_from([
    'SIMPLE', 'XTENSION', 'BITPIX', 'NAXIS', 'NAXIS1', 'NAXIS2', 'PCOUNT', 'GCOUNT', 'TFIELDS', 'EXTEND', 'END', 'GROUPS',
    'BSCALE', 'BZERO', 'BLANK', 'TFORM1', 'TFORM2', 'TTYPE1', 'TNULL1', 'TDIM1', 'TSCAL1', 'TZERO1', 'TUNIT1', 'THEAP',
    'ZIMAGE', 'CHECKSUM', 'DATASUM', 'EXTNAME', 'CONTINUE', 'LONGSTRN', 'HIERARCH a b'])
known = st.sampled_from(['OBJID', 'SNR', 'VHELIO', 'RA', 'STARFLAG', 'RV_TEFF', 'CRVAL1', 'CDELT1', 'NWAVE', 'TELESCOP', 'H', 'BC', 'VRAD'])
cards = st.lists(st.tuples(st.one_of(structure, known), values), min_size=1, max_size=3)
CARD, BLOCK = 80, 2880


def with_cards(raw, hdu, changes, insert):
    "Bytes of a FITS file whose HDU `hdu` has other cards, as no library would write them"
    starts = [i for i in range(0, len(raw), BLOCK) if raw[i:i + 8] in (b'SIMPLE  ', b'XTENSION')]
    start = starts[hdu % len(starts)]
    raw = bytearray(raw)
    for key, value in changes:
        card = f'{key:<8}= {value:>20}'.encode('ascii', 'replace')[:CARD].ljust(CARD)
        at = start
        while at < len(raw) and raw[at:at + 8] not in (key.encode().ljust(8)[:8], b'END     '):
            at += CARD
        if raw[at:at + 8] == b'END     ' and not insert:
            continue
        raw[at:at + CARD] = card
    return bytes(raw)


@pytest.fixture(scope='module')
def originals(place):
    "Bytes of an apStar file, a visit, and an SDSS-V file"
    import gzip

    from astropy.io import fits

    from stellar_gen.data import sample_paths, sample_spectra, write_apstar
    star = sample_spectra()[1]
    spectrum = write_apstar(star, place / 'star.fits').read_bytes()
    visit = gzip.decompress(next(path for path in sample_paths() if 'Visit' in path.name).read_bytes())
    pixels = [fits.Column(name, '8575E', array=getattr(star, name)) for name in ('flux', 'ivar')]
    columns = [fits.Column('snr', 'E', array=[80.]), *pixels]
    table = fits.BinTableHDU.from_columns(columns, fits.Header(dict(CRVAL=4.179, CDELT=6e-6)))
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(dict(SDSS_ID=1))), table]).writeto(place / 'mwm.fits')
    return spectrum, visit, (place / 'mwm.fits').read_bytes()


def test_spectra(place, originals):
    "Three kinds of files with other cards in their headers"
    from stellar_gen.data import read_spectra
    outcomes = dict(read=0, refused=0)

    @settings(max_examples=150, **BOUNDED)
    @given(st.sampled_from(range(3)), st.integers(0, 4), cards, st.booleans())
    def fuzz(which, hdu, changes, insert):
        path = place / 'apStar-fuzz.fits'
        path.write_bytes(with_cards(originals[which], hdu, changes, insert))
        with bounded():
            spectra, failed = read_spectra([path], quiet=True)
        assert spectra is not None or len(failed)
        assert all(is_one_line(line, 'apStar-fuzz.fits') for line in failed.error)
        outcomes['refused' if spectra is None else 'read'] += 1

    fuzz()
    assert min(outcomes.values()) > 10, outcomes


def other_surveys():
    "HDUs of a file of each other survey, and its name"
    from astropy.io import fits

    from stellar_gen.data import GAIA_RVS, LAMOST_LRS, LAMOST_MRS
    rng = np.random.default_rng(0)

    def light(pixels):
        return rng.normal(100, 1, pixels).astype('f4')

    def table(name, **arrays):
        columns = []
        for key, values in arrays.items():
            kind = 'J' if key == 'ANDMASK' else 'D'
            columns.append(fits.Column(key, f'{len(values)}{kind}', array=values[None]))
        return fits.BinTableHDU.from_columns(columns, name=name)

    camera = fits.Header(dict(CRVAL1=4713.5, CDELT1=0.046, CRPIX1=1, SNR=90., RVCOM=12.5, RA_OBJ=10., DEC_OBJ=-10.))
    others = [fits.ImageHDU(light(4096) / 1e4, camera, name=name) for name in ('relative_error', 'sky')]
    galah = [fits.PrimaryHDU(light(4096), camera), *others]
    low = dict(FLUX=light(3909), IVAR=light(3909), WAVELENGTH=LAMOST_LRS.wave[:3909], ANDMASK=np.zeros(3909, int))
    star = fits.Header(dict(OBSID=12345, DESIG='LAMOST J1', RA=10., DEC=10., Z=1e-4, SNRG=60., HELIO_RV=20.))
    sum_of = {name: pixels for name, pixels in zip(('COADD_B', 'COADD_R'), LAMOST_MRS.detectors.values())}
    medium = [table(name, FLUX=light(n), IVAR=light(n), LOGLAM=np.log10(LAMOST_MRS.wave[pixels]))
              for name, pixels in sum_of.items() for n in [pixels.stop - pixels.start]]
    rvs = table('SPECTRUM', WAVELENGTH=GAIA_RVS.wave / 10, FLUX=light(2401) / 100, FLUX_ERROR=light(2401) / 1e4)
    rows = np.stack([light(3909), light(3909), LAMOST_LRS.wave[:3909], *np.zeros((2, 3909))]).astype('f4')
    coefficients = dict(star) | dict(COEFF0=3.567, COEFF1=1e-4)
    return {
        '1312160011010011.fits': galah,
        'spec-low.fits': [fits.PrimaryHDU(header=star), table('COADD', **low)],
        'spec-old.fits': [fits.PrimaryHDU(rows, fits.Header(coefficients))],
        'med-star.fits': [fits.PrimaryHDU(header=star), *medium],
        'RVS-Gaia DR3 4295806720.fits': [fits.PrimaryHDU(), rvs],
    }


@pytest.fixture(scope='module')
def others(place):
    "Bytes of a file of each other survey, by name"
    from astropy.io import fits
    files = {}
    for name, hdus in other_surveys().items():
        fits.HDUList(hdus).writeto(place / name)
        files[name] = (place / name).read_bytes()
    return files


def test_spectra_of_other_surveys(place, others):
    "Other cards in the headers, and other bytes; as they are, all are read"
    from stellar_gen.data import read_spectra
    for name in others:
        assert read_spectra([place / name], quiet=True)[0] is not None, name
    outcomes = dict(read=0, refused=0)
    damage = st.tuples(st.floats(0, .999), st.binary(min_size=0, max_size=8), st.booleans())

    @settings(max_examples=OTHERS, **BOUNDED)
    @given(st.sampled_from(sorted(others)), st.integers(0, 4), cards, st.booleans(), st.none() | damage)
    def fuzz(name, hdu, changes, insert, damaged):
        raw = with_cards(others[name], hdu, changes, insert)
        if damaged:
            at, put, rest = int(damaged[0] * len(raw)), *damaged[1:]
            raw = raw[:at] + put + (raw[at + len(put):] if rest else b'')
        path = place / name
        path.write_bytes(raw)
        with bounded():
            spectra, failed = read_spectra([path], quiet=True)
        assert spectra is not None or len(failed)
        assert all(is_one_line(line, name) for line in failed.error)
        outcomes['refused' if spectra is None else 'read'] += 1

    fuzz()
    assert min(outcomes.values()) > 10, outcomes


# ------------------------------------------------------------------------------------------------------------------ catalogs
def is_answered(path):
    "Whether a catalog gives a table, or a line"
    from stellar_gen.data import read_catalog
    with bounded():
        try:
            table = read_catalog(path)
        except ValueError as error:
            assert is_one_line(str(error), path.name), str(error)
            return False
    assert isinstance(table, pd.DataFrame)
    return True


def test_catalogs_of_text(place):
    "CSV and ECSV of any characters"
    cell = st.one_of(st.text(max_size=8), numbers.map(str), st.sampled_from(
        ['', ' ', 'nan', '-9999', '"', "b'2M'", '#', '0003', '2M00000000+0000000', '=1+1', '\ufeff', 'é', '__proto__', '9' * 30]))
    rows = st.lists(st.lists(cell, max_size=5), max_size=5)
    outcomes = [0, 0]

    @settings(max_examples=200, **BOUNDED)
    @given(rows, st.sampled_from([',', ', ', ';']), st.sampled_from(['\n', '\r\n', '\r']), st.sampled_from(['utf-8', 'latin-1', 'utf-16']),
           st.sampled_from(['csv', 'ecsv']))
    def fuzz(rows, comma, end, encoding, suffix):
        path = place / f'fuzz.{suffix}'
        path.write_bytes(end.join(comma.join(row) for row in rows).encode(encoding, 'replace'))
        outcomes[is_answered(path)] += 1

    fuzz()
    assert min(outcomes) > 10, outcomes


def test_catalogs_of_fits(place):
    "Tables with other cards in their headers"
    from astropy.table import Table
    Table(dict(apogee_id=['a', 'b'], teff=[1., 2.], flag=[1, 2])).write(place / 'table.fits')
    original = (place / 'table.fits').read_bytes()
    outcomes = [0, 0]

    @settings(max_examples=150, **BOUNDED)
    @given(st.integers(0, 1), cards, st.booleans())
    def fuzz(hdu, changes, insert):
        path = place / 'fuzz.fits'
        path.write_bytes(with_cards(original, hdu, changes, insert))
        outcomes[is_answered(path)] += 1

    fuzz()
    assert min(outcomes) > 10, outcomes


@pytest.mark.parametrize('suffix', ('parquet', 'vot', 'fits', 'csv', 'ecsv', 'csv.gz'))
def test_catalogs_with_other_bytes(suffix, place):
    "Every format with bytes that were exchanged, cut off or put in"
    import gzip

    from astropy.table import Table
    table = Table(dict(apogee_id=['a', 'b'], teff=[1., 2.], flag=[1, 2]))
    whole = io.BytesIO()
    if suffix == 'parquet':
        table.to_pandas().to_parquet(whole)
    else:
        formats = {'vot': 'votable', 'fits': 'fits', 'csv': 'ascii.csv', 'ecsv': 'ascii.ecsv', 'csv.gz': 'ascii.csv'}
        path = place / 'whole'
        table.write(path, format=formats[suffix], overwrite=True)
        whole.write(path.read_bytes())
    original = whole.getvalue()

    @settings(max_examples=40, **BOUNDED)
    @given(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8))
    def fuzz(at, less, more):
        start = int(at * len(original))
        data = original[:start] + more + original[start + less:]
        path = place / f'fuzz.{suffix}'
        path.write_bytes(gzip.compress(data) if suffix.endswith('gz') else data)
        is_answered(path)

    fuzz()


# ---------------------------------------------------------------------------------------------------------- stores and models
json_values = st.one_of(
    st.none(), st.booleans(), st.integers(-2**65, 2**65), st.sampled_from([0, 1, -1, 10**6, 10**9, 10**12]), st.floats(),
    st.text(max_size=6), st.just([]), st.just({}), st.lists(st.integers(0, 10**12), max_size=3),
    st.sampled_from(['float64', 'O', 'pickle', 'blosc', 'zstd', 'gzip', '../x']))


def places_in(tree, path=()):
    "Every place in a structure of JSON"
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places_in(value, (*path, key))


def test_stores(place):
    "A store with other values in its JSON"
    from stellar_gen.data import Grid, Spectra, SpectraStore
    grid = Grid(10**(4.18 + 1e-5 * np.arange(40)), name='toy')
    path = place / 'fuzz store'
    Spectra(grid, np.ones((3, 40)), np.ones((3, 40)), None, pd.DataFrame(dict(apogee_id=list('abc')))).save(path)
    notes = sorted(path.rglob('zarr.json'))
    texts = [note.read_text() for note in notes]
    where = [(k, place) for k, text in enumerate(texts) for place in places_in(json.loads(text))]
    outcomes = [0, 0]

    @settings(max_examples=300, **BOUNDED)
    @given(st.sampled_from(where), json_values)
    def fuzz(at, value):
        k, within = at
        notes[k].write_text(json.dumps(with_change(json.loads(texts[k]), within, setting(value))))
        try:
            with bounded():
                try:
                    spectra = SpectraStore(path)[:]
                    assert len(spectra) == 3
                    outcomes[1] += 1
                except ValueError as error:
                    assert is_one_line(str(error), path.name), str(error)
                    outcomes[0] += 1
        finally:
            notes[k].write_text(texts[k])

    fuzz()
    assert min(outcomes) > 10, outcomes


def test_models(place):
    "A model with other values in its configuration, sealed anew or without digests"
    import torch

    from stellar_gen.data import Grid
    from stellar_gen.model import TrainedModel, _sealed, load_model, save_model
    from stellar_gen.preprocess import Recipe
    from stellar_gen.vae import SpectraVAE
    grid = Grid(10**(4.18 + 1e-5 * np.arange(40)), name='toy')
    torch.manual_seed(0)
    net = SpectraVAE(n_pix=40, patch=8, latent=2, channels=8, heads=8, hidden=16, coefs=8)
    path = save_model(TrainedModel(net, Recipe(grid=grid), dict(n_train=5)), place / 'fuzz model')
    note = path / 'config.json'
    config = json.loads(note.read_text())
    files = config['files']
    bare = {key: value for key, value in config.items() if key not in ('files', 'digest')}
    where = list(places_in(bare))
    outcomes = [0, 0]

    @settings(max_examples=300, **BOUNDED)
    @given(st.sampled_from(where), json_values, st.booleans())
    def fuzz(within, value, seal):
        new = with_change(bare, within, setting(value))
        note.write_text(json.dumps(_sealed(new, files) if seal else new))
        with bounded():
            try:
                load_model(path)
                outcomes[1] += 1
            except ValueError as error:
                assert is_one_line(str(error), path.name), str(error)
                outcomes[0] += 1

    fuzz()
    assert min(outcomes) > 10, outcomes
