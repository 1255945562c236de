"The report in a browser: what a person does with it, on a wide screen and on a telephone, light and dark"

import numpy as np
import pandas as pd
import pytest

from pages import EVIL, READY, TELEPHONE, WIDE, see_tooltip

SOON = 3000  # milliseconds, in which a page of hundreds of stars can be worked with; twice that is allowed here


@pytest.fixture(scope='module')
def survey():
    from stellar_gen.simulate import simulate
    stars = simulate(150, seed=81, anomalies=dict(emission=4, velocity=4, cosmic=4))
    stars.meta['ra'] = np.linspace(0, 359, len(stars))
    stars.meta['dec'] = 10.
    stars.meta.loc[7, 'apogee_id'] = EVIL
    return stars


@pytest.fixture(scope='module')
def reports(survey, tmp_path_factory):
    "Two reports of different stars, the first with votes to come; and the scores of the first"
    from stellar_gen.model import load_model
    from stellar_gen.report import write_report
    pytest.importorskip('panel')  # It adds models to Bokeh, which must stay out of the pages
    folder = tmp_path_factory.mktemp('reports')
    model = load_model('apogee-16')
    scores = write_report(folder / 'one.html', model, survey, show=[7], top=30)
    write_report(folder / 'two.html', model, survey[:40], top=5)
    return folder, scores


def listening(context):
    "A tab, and whatever it complains of or asks of others"
    odd = []
    tab = context.new_page()
    tab.on('console', lambda m: odd.append(m.text) if m.type in ('error', 'warning') else None)
    tab.on('pageerror', lambda e: odd.append(str(e)))
    tab.on('request', lambda r: None if r.url.startswith(('file:', 'data:', 'blob:')) else odd.append(r.url))
    return tab, odd


def opened(browser, reports):
    "The first report in a context of its own, which knows no votes"
    tab, odd = listening(browser.new_context(viewport=WIDE, accept_downloads=True))
    tab.goto(f'file://{reports[0] / "one.html"}')
    tab.wait_for_selector(READY, timeout=2 * SOON)
    return tab, odd


@pytest.fixture
def tab(browser, reports):
    "For tests that change what the page knows"
    tab, odd = opened(browser, reports)
    yield tab
    assert not odd, odd[:5]
    tab.context.close()


@pytest.fixture(scope='module')
def page(browser, reports):
    tab, odd = opened(browser, reports)
    yield tab, odd
    tab.context.close()


@pytest.fixture
def one_tab(page):
    "One tab for tests that only look, as if it had been opened just now: to open it takes longest"
    tab, odd = page
    tab.evaluate('choose(tableOrder()[0]), scrollTo(0, 0), document.activeElement.blur()')
    yield tab
    assert not odd, odd[:5]


def ids(tab):
    "Names in the page's data, by rank"
    return tab.evaluate('Array.from(column("apogee_id"))')


def test_first_screen_answers(one_tab, reports):
    "How many, which, how sure, why: without scrolling, and as the scores say"
    scores = reports[1]
    assert one_tab.locator('h1').inner_text() == f'{scores.flag.sum()} of {len(scores)} stars do not fit'
    oddest = scores.sort_values('rank').apogee_id.tolist()[:5]
    assert [one_tab.locator('.oddity b').nth(k).inner_text() for k in range(5)] == oddest
    for heading in ('The oddest', 'How sure is that?', 'Why?'):
        box = one_tab.get_by_role('heading', name=heading).bounding_box()
        assert box['y'] < WIDE['height'], heading
    assert one_tab.locator('#name').inner_text() == oddest[0]


def test_search_filter_and_sort(tab, reports):
    tab.locator('#word').fill('emission')
    assert tab.locator('#count').inner_text().startswith(str((reports[1].kind == 'emission').sum() or '')[:1])
    shown = tab.evaluate('tableOrder().map(i => column("kind")[i] + column("reason")[i])')
    assert shown and all('emission' in words for words in shown)
    tab.get_by_role('button', name='all', exact=True).click()
    tab.wait_for_function('tableOrder().length === stars()')
    tab.locator('#flagged').check()
    assert len(tab.evaluate('tableOrder()')) == reports[1].flag.sum()
    tab.locator('#flagged').uncheck()
    tab.locator('.slick-header-column', has_text='S/N').click()
    snr = tab.evaluate('tableOrder().map(i => column("snr")[i])')
    assert snr == sorted(snr)


def test_a_star_is_chosen_in_the_table_and_by_keys(tab):
    tab.locator('.slick-row').nth(3).locator('.slick-cell').nth(1).click()
    third = tab.locator('#name').inner_text()
    assert third == ids(tab)[3]
    tab.locator('h1').click()
    tab.keyboard.press('k')
    assert tab.locator('#name').inner_text() == ids(tab)[2]
    assert '#row=' in tab.url


def test_the_spectrum_is_that_of_the_star(one_tab, survey):
    "Unpacked in the page as in the library, and drawn"
    from stellar_gen.model import load_model, reconstruct
    row = one_tab.evaluate('column("row")[0]')
    one_tab.wait_for_function('parts.stars[0].data.flux.some(f => f < 0.95)')
    ready, recon, _ = reconstruct(load_model('apogee-16'), survey[[row]])
    pixels = next(iter(ready.grid.detectors.values()))
    seen = ready.ivar[0, pixels] > 0
    flux = np.array(one_tab.evaluate('Array.from(parts.stars[0].data.flux, f => Number.isNaN(f) ? null : f)'), float)
    assert (np.isfinite(flux) == seen).all()
    off = (flux - ready.flux[0, pixels])[seen] * ready.ivar[0, pixels][seen]**.5
    assert np.abs(off).max() < .1


def test_a_line_is_measured_as_the_library_does(tab):
    "By dragging over it; the continuum is nudged"
    from stellar_gen.measure import equivalent_width
    tab.wait_for_function('parts.stars[0].data.flux.some(f => f < 0.95)')
    tab.locator('#measure').click()
    tab.evaluate('''() => Bokeh.index.find_one(parts.panels[2]).model.trigger_event ? 0 : 0''')
    box = tab.locator('#with .part').bounding_box()
    tab.evaluate('scrollTo(0, document.querySelector("#with .part").getBoundingClientRect().top + scrollY - 20)')
    box = tab.locator('#with .part').bounding_box()
    y = box['y'] + 110
    tab.mouse.move(box['x'] + 300, y)
    tab.mouse.down()
    tab.mouse.move(box['x'] + 330, y, steps=5)
    tab.mouse.up()
    tab.wait_for_function('document.getElementById("measured").textContent.includes("width")')
    low, high = tab.evaluate('[parts.stretches[0].left, parts.stretches[0].right]')
    star = {name: np.array(tab.evaluate(f'Array.from(parts.stars[0].data.{name}, f => Number.isNaN(f) ? null : f)'), float)
            for name in ('wave', 'flux', 'ivar', 'continuum')}
    line = equivalent_width(star['wave'], star['flux'], star['ivar'], low, high, star['continuum'])
    said = tab.locator('#measured').inner_text()
    width = float(said.split('width ')[1].split(' ')[0])
    assert abs(width - line.width) < .2 * line.e_width + 1e-6, (said, line)
    tab.locator('#level').evaluate('e => { e.value = 0.95; e.dispatchEvent(new Event("input")) }')
    lower = float(tab.locator('#measured').inner_text().split('width ')[1].split(' ')[0])
    assert lower < width


def test_lines_are_named_as_by_the_library(one_tab, survey):
    "A star that shines in hydrogen has its series named, with the residuals that the library finds; and its p is no wonder"
    from stellar_gen.model import load_model, reconstruct
    from stellar_gen.views import known_lines, line_residuals
    row = one_tab.evaluate('column("row")[0]')
    assert survey.meta.anomaly[row] == 'emission'
    one_tab.wait_for_function('parts.stars[0].data.flux.some(f => f < 0.95)')
    ready, recon, _ = reconstruct(load_model('apogee-16'), survey[[row]])
    residual = (ready.flux[0] - recon[0]) * ready.ivar[0]**.5
    lines = known_lines(ready.wave)
    expected = dict(zip((line for line, _ in lines), line_residuals(ready.wave, residual, lines)))
    wave, odd = (one_tab.evaluate(f'parts.lines.flatMap(lines => Array.from(lines.data.{name}))') for name in ('wave', 'odd'))
    alike = np.isclose([expected[line] for line in wave], odd, rtol=.05, atol=.5)
    assert alike.mean() > .95  # but for lines at the edges of detectors
    shown = one_tab.evaluate('parts.lines.flatMap(lines => Array.from(lines.data.text)).filter(text => text)')
    assert sum(name.startswith('H Br') for name in shown) >= 8, shown
    assert 'p < 1e-6' in one_tab.locator('#facts').inner_text()


def test_zooming_shows_more_names(tab):
    tab.wait_for_function('parts.stars[0].data.flux.some(f => f < 0.95)')
    named = 'parts.lines[0].data.alpha.filter(a => a > 0).length / parts.lines[0].data.alpha.length'
    tab.evaluate('parts.panels[0].x_range.setv({start: 15300, end: 15340})')
    inside = 'parts.lines[0].data.wave.every((w, i) => w < 15300 || w > 15340 || parts.lines[0].data.alpha[i] === 1)'
    assert tab.evaluate(inside) and tab.evaluate(named) < 1
    assert tab.evaluate('parts.strips[0].x_range.start') == 15300


def test_lasso_gives_a_list(tab):
    "Stars inside a lasso are chosen in the table, counted and saved"
    tab.evaluate('document.querySelector("select.plane").scrollIntoView()')
    tab.evaluate('parts.left.toolbar.tools.flat().forEach(t => { if (t.type === "LassoSelectTool") t.active = true })')
    box = tab.locator('.maps .part').first.bounding_box()
    left, top, right, bottom = box['x'] + 60, box['y'] + 20, box['x'] + box['width'] - 60, box['y'] + box['height'] - 70
    tab.mouse.move(left, top)
    tab.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        tab.mouse.move(x, y, steps=4)
    tab.mouse.up()
    tab.wait_for_selector('#lasso:not([hidden])')
    n = tab.evaluate('parts.source.selected.indices.length')
    assert n > 50 and tab.locator('#lasso-count').inner_text() == f'{n} stars are chosen'
    with tab.expect_download() as download:
        tab.locator('#lasso-save').click()
    table = pd.read_csv(download.value.path())
    assert len(table) == n and {'apogee_id', 'row', 'rank', 'anomaly'} == set(table)


def test_votes_rank_at_once_as_the_library_does(tab, browser, reports, survey, tmp_path):
    "A vote changes the order, is there after a reload, is saved and loaded again, and unknown to another report"
    from stellar_gen.anomaly import score
    from stellar_gen.model import load_model
    from stellar_gen.report import rerank
    before = ids(tab)
    tab.keyboard.press('-')
    tab.wait_for_function('votes.size === 1')
    after = ids(tab)
    assert after != before and after.index(before[0]) > 0
    with tab.expect_download() as download:
        tab.locator('#save').click()
    saved = tmp_path / 'votes.csv'
    download.value.save_as(saved)
    votes = pd.read_csv(saved)
    assert votes.apogee_id.tolist() == before[:1] and votes.vote.tolist() == [0]
    interest = rerank(score(load_model('apogee-16'), survey, details=True), votes)
    there = np.array(tab.evaluate('interests().length ? Array.from(column("row")) : []'))
    assert pd.Series(interest[there]).corr(pd.Series(-np.arange(len(there))), method='spearman') > .999
    tab.reload()
    tab.wait_for_selector(READY)
    assert ids(tab) == after and tab.locator('#votes').inner_text().startswith('1 vote,')
    other = tab.context.new_page()
    other.goto(f'file://{reports[0] / "two.html"}')
    other.wait_for_selector(READY)
    assert other.locator('#votes').inner_text() == 'no votes yet'
    other.close()
    tab.locator('#clear').click()
    assert ids(tab) == before
    tab.locator('#load').set_input_files(saved)
    tab.wait_for_function('votes.size === 1')
    assert ids(tab) == after
    broken = tmp_path / 'broken.csv'
    broken.write_text('a,b\n1,2\n')
    tab.locator('#load').set_input_files(broken)
    tab.wait_for_function('document.getElementById("message").textContent.includes("no columns")')


def test_names_are_no_markup(tab):
    tab.locator('#word').fill('onerror')
    tab.wait_for_function('tableOrder().length === 1')
    assert tab.locator('.slick-row .slick-cell', has_text='onerror').first.inner_text() == EVIL
    tab.evaluate('choose(tableOrder()[0])')
    assert tab.locator('#name').inner_text() == EVIL
    assert tab.title() == 'stellar_gen report' and tab.locator('img[src=x]').count() == 0


def test_links_lead_to_the_star(tab):
    "SIMBAD and the survey know a 2MASS name, Aladin a place; a simulated star has its place alone"
    asked = 'links(0).map(a => [a.textContent, a.href, a.rel])'
    assert [words for words, _, _ in tab.evaluate(asked)] == ['Aladin']
    tab.evaluate('column("apogee_id")[0] = "2M17335483-2753043"; column("ra")[0] = 263.5; column("dec")[0] = -27.9')
    simbad, survey, aladin = tab.evaluate(asked)
    assert simbad[:2] == ['SIMBAD', 'https://simbad.cds.unistra.fr/simbad/sim-id?Ident=2MASS%20J17335483-2753043']
    assert survey[0] == 'SDSS' and survey[1].startswith('https://dr17.sdss.org/') and '=2M17335483-2753043&' in survey[1]
    assert aladin[0] == 'Aladin' and 'target=263.50000%20-27.90000' in aladin[1]
    assert {rel for _, _, rel in (simbad, survey, aladin)} == {'noopener noreferrer'}


def test_hovering_shows_the_star(one_tab):
    see_tooltip(one_tab)


def test_a_star_without_spectrum_names_the_command(one_tab):
    one_tab.evaluate('choose([...Array(stars()).keys()].find(i => !spectra[column("row")[i]]))')
    assert one_tab.locator('#without').is_visible() and not one_tab.locator('#with').is_visible()
    row = one_tab.evaluate('column("row")[parts.source.selected.indices[0]]')
    assert one_tab.locator('#command').inner_text().endswith(f'--star {row}')


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('screen', [WIDE, TELEPHONE], ids=['wide', 'telephone'])
def test_screens(browser, reports, scheme, screen):
    "Nothing is wider than the screen, text stands out, nothing is complained of or fetched"
    from test_site import CONTRAST, contrast
    context = browser.new_context(viewport=screen, color_scheme=scheme, has_touch=screen is TELEPHONE)
    tab, odd = listening(context)
    tab.goto(f'file://{reports[0] / "one.html"}')
    tab.wait_for_selector(READY, timeout=2 * SOON)
    assert tab.evaluate('document.documentElement.scrollWidth') <= screen['width']
    for what in ('body', '#facts', 'small', '.key .drawn', '.key .sigma', '.chip'):
        front, back = tab.evaluate('what => [getComputedStyle(document.querySelector(what)).color, '
                                   'getComputedStyle(document.body).backgroundColor]', what)
        assert contrast(front, back) >= CONTRAST, (what, front, back)
    assert not odd
    context.close()


def test_pages_of_cells(browser, survey, tmp_path):
    "Spectra alone, and a survey in the frame of a cell: drawn, and nothing is complained of"
    from stellar_gen.cells import Framed, interact
    from stellar_gen.model import load_model
    survey[:5].interact().save(tmp_path / 'spectra.html')
    framed = interact(load_model('apogee-16'), survey[:10], top=3)._repr_html_()
    Framed(f'<!doctype html>{framed}').save(tmp_path / 'cell.html')
    tab, odd = listening(browser.new_context(viewport=WIDE))
    tab.goto(f'file://{tmp_path / "spectra.html"}')
    tab.wait_for_function('document.documentElement.dataset.ready && parts.stars[0].data.flux.some(f => f < 0.95)')
    tab.locator('#after').click()
    tab.locator('#other').select_option('3')
    tab.wait_for_function('parts.stars[0].data.other.some(f => f < 0.95)')
    tab.goto(f'file://{tmp_path / "cell.html"}')
    frame = tab.frame_locator('iframe')
    frame.locator(READY).wait_for(timeout=2 * SOON)
    assert frame.locator('.oddity').count() == 5
    assert not odd
    tab.context.close()


def test_small_probabilities_are_not_called_zero(one_tab):
    "Of every star that has one; and none is told that no calibration can know"
    column = one_tab.evaluate('parts.table.columns.filter(c => c.visible).findIndex(c => c.field === "p_value")')
    shown = one_tab.evaluate(f'''[...document.querySelectorAll("*")].flatMap(e => e.shadowRoot ?
        [...e.shadowRoot.querySelectorAll(".slick-row")].map(r => r.children[{column}].textContent) : [])''')
    assert one_tab.locator('.slick-row').count() > 10
    assert '< 1e-6' in shown
    assert all(text == '< 1e-6' or float(text) >= 1e-6 for text in shown)
