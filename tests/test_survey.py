"""Another survey: a made-up optical one of 3,800 pixels in two arms goes through every part of the library

Nothing of APOGEE is in it: neither its grid nor its lines nor its bits. Its stars have three labels and sixty lines.
"""
import numpy as np
import pandas as pd
import pytest

from stellar_gen.data import Grid, Spectra, SpectraStore
from stellar_gen.preprocess import Recipe

RESOLUTION = 2000
ARMS = dict(blue=slice(60, 1750), red=slice(1980, 3740))
OPTICAL = Grid(np.geomspace(4700., 6900., 3800), ARMS, resolution=RESOLUTION, name='made-up')
H_ALPHA, H_BETA = 6564.6, 4862.7  # Å, vacuum
SIGMA = 1 / (RESOLUTION * np.sqrt(8 * np.log(2)))  # width of a line over its wavelength
LIGHT_KMS = 299_792.458


# ------------------------------------------------------------------------------------------------------- toy stars
def toy_lines(n=60, seed=0):
    "Centres (Å), depths, and how each depth follows temperature, gravity and metallicity"
    rng = np.random.default_rng(seed)
    lit = OPTICAL.wave[OPTICAL.lit]
    centres = np.append(rng.uniform(4740, 6860, n - 2), [H_ALPHA, H_BETA])
    centres = centres[np.abs(lit[None] - centres[:, None]).min(1) < 2]
    slopes = rng.normal(size=(len(centres), 3)) * [0.35, 0.2, 0.4]
    slopes[-2:] = [0.8, 0.1, 0.]  # hydrogen
    return centres, rng.uniform(0.05, 0.45, len(centres)), slopes


def toy_labels(n, rng):
    "Temperatures (K), gravities (dex) and metallicities (dex) of giants and dwarfs"
    return pd.DataFrame(dict(teff=rng.uniform(4200, 6800, n), logg=rng.uniform(1., 4.8, n), fe_h=rng.uniform(-1., 0.4, n)))


def toy_flux(labels, velocity=0., emission=0.):
    "Flux over the continuum (N,P) of stars with these labels; velocity in km/s, emission in H alpha over the continuum"
    centres, depths, slopes = toy_lines()
    standard = (labels[['teff', 'logg', 'fe_h']].to_numpy() - [5500, 3, -0.3]) / [750, 1.1, 0.4]
    strength = depths * np.exp(standard @ slopes.T)  # (N,lines)
    moved = centres * (1 + velocity / LIGHT_KMS)
    profiles = np.exp(-0.5 * ((OPTICAL.wave - moved[:, None]) / (SIGMA * moved[:, None]))**2)  # (lines,P)
    line = np.exp(-0.5 * ((OPTICAL.wave - H_ALPHA) / (2 * SIGMA * H_ALPHA))**2)
    return np.exp(-strength @ profiles) + emission * line


def toy_survey(n, seed, velocity=0., emission=0.):
    "Spectra as they are observed: a brightness and a smooth continuum of their own, noise, lost pixels, dark gaps"
    rng = np.random.default_rng(seed)
    labels = toy_labels(n, rng)
    x = np.linspace(-1, 1, len(OPTICAL))
    bends = rng.normal(size=(n, 3)) * [0.2, 0.1, 0.03]
    continuum = rng.uniform(200, 4000, (n, 1)) * np.exp(bends @ [x, x**2, x**3])
    clean = continuum * toy_flux(labels, velocity, emission)
    error = continuum / rng.uniform(60, 200, (n, 1))
    ivar = np.broadcast_to(error**-2., clean.shape).copy()
    first = rng.integers(100, 3600, n)
    for row, start in enumerate(first):  # a cosmic ray took fifteen pixels
        ivar[row, start:start + 15] = 0
    flux = clean + rng.normal(size=clean.shape) * error
    flux[ivar == 0] = rng.normal(size=(ivar == 0).sum()) * 1e6  # such a pixel may hold anything
    flux[:, ~OPTICAL.lit], ivar[:, ~OPTICAL.lit] = 0, 0
    names = [f'toy-{seed}-{i}' for i in range(n)]
    return Spectra(OPTICAL, flux.astype('f4'), ivar.astype('f4'), None, labels.assign(apogee_id=names))


# ---------------------------------------------------------------------------------------------------- the long way
@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('survey')


@pytest.fixture(scope='module')
def recipe():
    return Recipe(grid=OPTICAL)


@pytest.fixture(scope='module')
def model(folder, recipe):
    "Trained on a store, calibrated and taught labels and how stars lie in the latents; saved, and loaded again"
    from stellar_gen.anomaly import calibrate
    from stellar_gen.classify import learn_labels
    from stellar_gen.generate import learn_prior
    from stellar_gen.model import load_model, save_model
    from stellar_gen.train import train_store
    toy_survey(700, seed=1).save(folder / 'stars')
    train_store(folder / 'stars', folder / 'model', recipe=recipe, epochs=12, bs=32, latent=8, device='cpu', quiet=True)
    model = load_model(folder / 'model')
    assert model.recipe.grid == OPTICAL
    normal = toy_survey(500, seed=2)
    calibrate(model, normal)
    learn_labels(model, normal, labels=['teff', 'logg', 'fe_h'], epochs=40)
    learn_prior(model, normal, labels=['teff', 'logg', 'fe_h'], steps=300)
    save_model(model, folder / 'model', overwrite=True)
    return load_model(folder / 'model')


@pytest.fixture(scope='module')
def normal():
    return toy_survey(150, seed=3)


def test_a_store_keeps_the_grid(folder, normal):
    "Detectors and resolving power come back, and the rows are the same to the bit"
    normal.save(folder / 'normal')
    store = SpectraStore(folder / 'normal')
    assert store.grid == OPTICAL and store.grid.resolution == RESOLUTION and list(store.grid.detectors) == ['blue', 'red']
    again = Spectra.open(folder / 'normal')
    assert again.grid == OPTICAL
    np.testing.assert_array_equal(again.flux, normal.flux)
    np.testing.assert_array_equal(again.ivar, normal.ivar)


def test_prepared_spectra_lie_at_the_continuum(recipe, normal):
    "The continuum is divided out on each arm, to a few per cent; what carried no light has no weight"
    ready = recipe(normal)
    assert ready.grid == OPTICAL and not ready.ivar[:, ~OPTICAL.lit].any()
    assert not ready.ivar[normal.ivar == 0].any()
    truth = toy_flux(normal.meta)
    seen = ready.ivar > 0
    assert seen[:, OPTICAL.lit].mean() > 0.95
    assert np.abs(np.median((ready.flux - truth)[seen])) < 0.05
    assert np.percentile(np.abs(ready.flux - truth)[seen], 90) < 0.1


def test_another_grid_is_refused(recipe):
    "By a recipe, by name of what does not fit"
    flux = np.ones((2, 3000))
    with pytest.raises(ValueError, match='3000'):
        recipe(Spectra(np.geomspace(4700., 6900., 3000), flux, flux))


def test_the_model_fits_normal_stars(model, normal):
    "Reconstructions are as good as the noise allows, give or take a half"
    from stellar_gen.model import evaluate
    found = evaluate(model, normal)
    assert len(found) == len(normal) and found.chi2.median() < 1.5


def test_odd_stars_score_higher(model, normal):
    "Emission in H alpha and a velocity that nobody took out are found; what is odd is put into words"
    from stellar_gen.anomaly import indicators, score
    usual = score(model, normal)
    assert len(usual) == len(normal) and usual.p_value.between(0, 1).all()
    assert (usual.p_value < 0.05).mean() < 0.2  # about a twentieth
    for odd in (toy_survey(20, seed=4, emission=0.7), toy_survey(20, seed=4, velocity=120.)):
        found = score(model, odd, explain=1.)
        assert found.anomaly.median() > usual.anomaly.quantile(0.95)
        assert found.reason.str.len().gt(0).all()
    table = indicators(model, normal)
    assert len(table) == len(normal) and np.isfinite(table.select_dtypes('number')).all().any()


def test_labels_are_read(model, normal):
    "Temperatures are far better than a guess, and their errors say so"
    from stellar_gen.classify import classify
    found = classify(model, normal)
    known = found.teff.notna()
    assert known.mean() > 0.7
    off = found.teff[known] - normal.meta.teff[known]
    assert off.std() < 0.5 * normal.meta.teff.std()
    assert (off.abs() < 3 * found.e_teff[known]).mean() > 0.8
    assert found.type[found.type != ''].str[0].isin(['F', 'G', 'K']).mean() > 0.8


def test_generated_stars_are_on_the_grid(model, normal):
    "From labels, near a star, and recorded with noise"
    from stellar_gen.generate import generate
    wanted = pd.DataFrame(dict(teff=[4500., 6500.], logg=[2., 4.], fe_h=[0., 0.]))
    made = generate(model, labels=wanted)
    assert made.grid == OPTICAL and made.flux.shape == (2, len(OPTICAL))
    hydrogen = made.flux[:, np.argmin(np.abs(OPTICAL.wave - H_ALPHA))]
    assert hydrogen[1] < hydrogen[0]  # stronger in the hotter star
    recorded = generate(model, 3, near=normal[:1], snr=50)
    assert recorded.grid == OPTICAL and (recorded.ivar[:, OPTICAL.lit] > 0).mean() > 0.9


def test_denoised_stars_have_no_holes(model, normal):
    "Every pixel that carries light has a value, also where the observation had none"
    from stellar_gen.generate import denoise
    clean = denoise(model, normal)
    assert clean.grid == OPTICAL
    assert np.isfinite(clean.flux[:, OPTICAL.lit]).all() and (clean.ivar[:, OPTICAL.lit] > 0).all()
    assert not clean.ivar[:, ~OPTICAL.lit].any()
    off = np.abs(clean.flux - toy_flux(normal.meta))[:, OPTICAL.lit]
    assert np.median(off) < 0.03


def test_the_report_is_written(model, folder, normal):
    "A page with figures of the strangest, by the survey's own arms"
    from stellar_gen.report import write_report
    found = write_report(folder / 'report.html', model, normal[:30], top=2)
    assert len(found) == 30
    page = (folder / 'report.html').read_text()
    assert 'toy-3-' in page and '<html' in page


def test_a_store_gives_the_same_scores(model, folder, normal):
    from stellar_gen.anomaly import score
    if not (folder / 'normal').exists():
        normal.save(folder / 'normal')
    one, other = score(model, normal), score(model, folder / 'normal')
    np.testing.assert_allclose(one.anomaly, other.anomaly, atol=1e-3)


def test_the_command_takes_it(model, folder, normal):
    "`stellar_gen score` and `classify` ask the model what its grid is"
    from typer.testing import CliRunner

    from stellar_gen.cli import app
    if not (folder / 'normal').exists():
        normal.save(folder / 'normal')
    for command in ('score', 'classify', 'encode'):
        out = folder / f'{command}.csv'
        done = CliRunner().invoke(app, [command, str(folder / 'model'), str(folder / 'normal'), '--out', str(out), '-q'])
        assert done.exit_code == 0, done.output
        assert len(pd.read_csv(out)) == len(normal)


def test_the_command_trains_on_it(folder, recipe):
    "`stellar_gen train` by the recipe of the grid, or by one in a file; a file that holds none is refused in a line"
    from typer.testing import CliRunner

    from stellar_gen.cli import app
    from stellar_gen.model import load_model
    toy_survey(150, seed=5).save(folder / 'few')
    steps = folder / 'recipe.json'
    steps.write_text(Recipe([['normalize', dict(method='clip')]], OPTICAL).to_json())
    train = ['train', str(folder / 'few'), '--epochs', '1', '--latent', '4', '--device', 'cpu', '-q', '--recipe', str(steps)]
    done = CliRunner().invoke(app, [*train, '--out', str(folder / 'clipped')])
    assert done.exit_code == 0, done.exception
    made = load_model(folder / 'clipped')
    assert made.recipe == Recipe.from_json(steps.read_text())
    assert made.reference is None and 'not calibrated' in done.output  # fifteen stars held out are too few to learn from
    steps.write_text('no recipe')
    done = CliRunner().invoke(app, [*train, '--out', str(folder / 'none')])
    assert isinstance(done.exception, ValueError) and 'holds no recipe' in str(done.exception)
    assert not (folder / 'none').exists()
