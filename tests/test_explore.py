"The live page in a browser: what two people do with it, what they bring, and what a kill leaves"
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import requests

from pages import EVIL, READY, TELEPHONE, WIDE, see_tooltip

LATE = 60_000   # milliseconds until there is a spectrum, a store is scored or a killed server is back: seconds, where cores are free
DRAWN = 'parts.stars[0].data.flux.some(f => f < 0.97)'
COMMAND = 'import sys; from stellar_gen.cli import main; sys.argv[0] = "stellar_gen"; main()'


def start(store, port=0, *options):
    "A server of its own process, and its address; a SAMP hub would be found beside the store"
    args = ['explore', str(store), '--no-browser', '--port', str(port), '--quiet', *options]
    hub = store.with_name('hub')
    process = subprocess.Popen([sys.executable, '-c', COMMAND, *args], stdout=subprocess.PIPE, text=True,
                               env=os.environ | dict(SAMP_HUB=f'std-lockurl:{hub.as_uri()}'))
    line = process.stdout.readline()
    assert line.startswith('explore: http://127.0.0.1:' if not options else 'explore: http://0.0.0.0:'), line
    return SimpleNamespace(process=process, url=line.split()[1], keep=store.with_name(f'{store.name}.explore'), hub=hub)


def kill(server):
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    server.process.stdout.close()


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    from stellar_gen.simulate import simulate
    stars = simulate(150, seed=81, anomalies=dict(emission=4, velocity=4, cosmic=4))
    stars.meta['ra'] = np.linspace(0, 359, len(stars))
    stars.meta['dec'] = 10.
    stars.meta.loc[7, 'apogee_id'] = EVIL
    path = tmp_path_factory.mktemp('explore') / 'survey'
    stars.save(path)
    return path


@pytest.fixture(scope='module')
def served(store):
    server = start(store)
    yield server
    if server.process.poll() is None:
        kill(server)


def listening(context, url):
    "A tab, and whatever it complains of or asks of others"
    odd = []
    tab = context.new_page()
    tab.on('console', lambda m: odd.append(m.text) if m.type in ('error', 'warning') else None)
    tab.on('pageerror', lambda e: odd.append(e.stack[:1500]))
    tab.on('request', lambda r: None if r.url.startswith((url, url.replace('http', 'ws'), 'data:', 'blob:'))
           else odd.append(r.url))
    return tab, odd


def opened(tab, url):
    tab.goto(url)
    tab.wait_for_selector(READY, timeout=LATE)
    tab.wait_for_function(DRAWN, timeout=LATE)
    return tab


@pytest.fixture(scope='module')
def page(browser, served):
    "One tab for most tests: to open it takes longest"
    context = browser.new_context(viewport=WIDE, accept_downloads=True)
    tab, odd = listening(context, served.url)
    opened(tab, served.url)
    tab.wait_for_function('stars() >= 150', timeout=LATE)
    yield tab, odd
    context.close()


@pytest.fixture
def tab(page):
    "The tab as if it had been opened just now"
    tab, odd = page
    tab.get_by_role('button', name='all', exact=True).click()
    tab.evaluate('tell(""), choose(0), scrollTo(0, 0), document.activeElement.blur()')
    yield tab
    assert not odd, odd[:5]


def ids(tab):
    return tab.evaluate('Array.from(column("apogee_id"))')


def said(tab, words):
    "Wait for a line of the page"
    tab.wait_for_function('words => document.getElementById("said").textContent.includes(words)', arg=words, timeout=LATE)
    return tab.locator('#said').inner_text()


def test_a_picture_comes_while_the_store_is_scored(browser, served):
    "The first stars come, and the others after them, without a reload"
    context = browser.new_context(viewport=WIDE)
    tab, odd = listening(context, served.url)
    tab.goto(served.url)
    tab.wait_for_function(f'document.documentElement.dataset.ready && {DRAWN}', timeout=LATE)
    tab.wait_for_function('stars() === 150', timeout=LATE)
    tab.wait_for_selector('#work', state='hidden')
    assert tab.locator('h1').inner_text().endswith('of 150 stars do not fit')
    assert not odd
    context.close()


def test_search_filter_sort_and_choose(tab):
    tab.locator('#word').fill('emission')
    shown = tab.evaluate('tableOrder().map(i => column("kind")[i] + column("reason")[i])')
    assert shown and all('emission' in words for words in shown)
    tab.get_by_role('button', name='all', exact=True).click()
    tab.wait_for_function('tableOrder().length === stars()')
    tab.locator('.slick-row').nth(3).locator('.slick-cell').nth(1).click()
    tab.wait_for_function('spectra[column("row")[indexOf(current)]] !== undefined')
    assert tab.locator('#name').inner_text() == ids(tab)[3]
    for name in ('S/N', 'rank'):
        tab.locator('.slick-header-column', has_text=name).click()
        values = tab.evaluate('name => tableOrder().map(i => column(name)[i])', dict(zip(('S/N', 'rank'), ('snr', 'rank')))[name])
        assert values == sorted(values)


def test_each_star_has_an_address(tab, served):
    tab.keyboard.press('j')
    tab.wait_for_function('location.search.includes("star=")')
    name, address = tab.locator('#name').inner_text(), tab.url
    other = tab.context.new_page()
    opened(other, address)
    assert other.locator('#name').inner_text() == name
    assert 'simbad' not in other.url
    opened(other, f'{served.url}?star=2M00000000')
    said(other, '2M00000000: is not among the stars')
    other.close()


def test_neighbours_lead_on_and_a_star_is_generated(tab):
    tab.wait_for_selector('.near')
    first = tab.locator('#name').inner_text()
    tab.keyboard.press('n')
    tab.wait_for_function('name => document.getElementById("name").textContent !== name', arg=first)
    assert tab.locator('#name').inner_text() in tab.evaluate('[...seen].map(row => idOf(rowAt(row)))')
    tab.locator('#maker summary').click()
    tab.locator('#make').click()
    tab.wait_for_function('parts.stars[0].data.other.some(f => f < 0.97)')
    assert 'Teff (K)' in tab.locator('#made').inner_text()
    tab.locator('#maker .noUi-handle').first.focus()
    before = tab.locator('#made').inner_text()
    tab.keyboard.press('ArrowRight')
    tab.wait_for_function('words => document.getElementById("made").textContent !== words', arg=before)


def test_lasso_gives_lists(tab, served, tmp_path):
    "Of stars inside it, as Parquet, FITS and VOTable, and by SAMP where a hub runs"
    from astropy.table import Table
    tab.evaluate('document.querySelector("select.plane").scrollIntoView()')
    tab.evaluate('parts.left.toolbar.tools.flat().forEach(t => { if (t.type === "LassoSelectTool") t.active = true })')
    box = tab.locator('.maps .part').first.bounding_box()
    left, top, right, bottom = box['x'] + 60, box['y'] + 20, box['x'] + box['width'] - 60, box['y'] + box['height'] - 70
    tab.mouse.move(left, top)
    tab.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        tab.mouse.move(x, y, steps=3)
    tab.mouse.up()
    tab.wait_for_selector('#lasso:not([hidden])')
    rows = sorted(tab.evaluate('chosenRows()'))
    assert len(rows) > 2
    for suffix in ('.parquet', '.fits', '.vot'):
        tab.locator('#format').select_option(suffix)
        with tab.expect_download(timeout=LATE) as download:
            tab.locator('#lasso-list').click()
        path = tmp_path / f'stars{suffix}'
        download.value.save_as(path)
        table = pd.read_parquet(path) if suffix == '.parquet' else Table.read(path).to_pandas()
        assert sorted(table['row']) == rows
    tab.locator('#samp').click()
    said(tab, 'SAMP hub')
    with table_reader(served.hub) as received:
        tab.locator('#samp').click()
        said(tab, 'were sent to TOPCAT')
    assert sorted(received[0]['row']) == rows


@contextmanager
def table_reader(lockfile):
    "A hub with a program like TOPCAT, and the tables that it gets"
    from astropy.table import Table
    from pyvo.samp import SAMPHubServer, SAMPIntegratedClient
    hub = SAMPHubServer(addr='127.0.0.1', lockfile=str(lockfile), web_profile=False)
    hub.start()
    topcat = SAMPIntegratedClient('TOPCAT', addr='127.0.0.1')
    topcat.connect(hub)
    received = []

    def receive(key, sender, message_id, message, content, extra):
        received.append(Table.read(content['url'].removeprefix('file://'), format='votable'))
        topcat.ereply(message_id, 'samp.ok', result={})

    topcat.bind_receive_call('table.load.votable', receive)
    try:
        yield received
    finally:
        topcat.disconnect()
        hub.stop()


def test_hovering_shows_the_star(tab):
    see_tooltip(tab)


def test_two_people_rank_together(tab, browser, served):
    "A vote of one changes the order of both at once, is on disk, and is there after a reload"
    other = browser.new_context(viewport=WIDE).new_page()
    opened(other, served.url)
    before = ids(tab)
    tab.evaluate('choose(0)')
    tab.keyboard.press('-')
    for page in (tab, other):
        page.wait_for_function('before => String(Array.from(column("apogee_id"))) !== before', arg=','.join(before))
        assert page.evaluate('name => column("vote")[Array.from(column("apogee_id")).indexOf(name)]', before[0]) == '−'
    assert ids(tab) == ids(other)
    votes = pd.read_csv(served.keep / 'votes.csv')
    assert (votes.apogee_id.tolist(), votes.vote.tolist()) == (before[:1], [0])
    other.evaluate('name => choose(Array.from(column("apogee_id")).indexOf(name))', before[2])
    other.keyboard.press('+')
    tab.wait_for_function('votes.size === 2')
    after = ids(tab)
    other.reload()
    other.wait_for_selector(READY)
    assert ids(other) == after and other.locator('#votes').inner_text().startswith('2 votes')
    other.context.close()


def drop(tab, path):
    "Let a file fall on the page, as a person drags it there"
    files = tab.evaluate_handle("""([name, bytes]) => {
        const files = new DataTransfer()
        files.items.add(new File([new Uint8Array(bytes)], name))
        return files
    }""", [path.name, list(path.read_bytes())])
    tab.dispatch_event('body', 'drop', dict(dataTransfer=files))


def test_files_are_brought(tab, tmp_path):
    "A good one joins the ranking; a broken one, whatever its name, that is dropped on the page costs a line"
    from stellar_gen.data import sample_paths
    n = tab.evaluate('stars()')
    tab.locator('#file').set_input_files(sample_paths()[0])
    line = said(tab, 'anomaly')
    name = line.split(': ')[1].split(',')[0]
    tab.wait_for_function('n => stars() === n + 1', arg=n)
    tab.wait_for_function('name => document.getElementById("name").textContent === name', arg=name)
    tab.wait_for_function(DRAWN)
    broken = tmp_path / '<b>bad<b>.fits'
    broken.write_bytes(sample_paths()[0].read_bytes()[:3000])
    drop(tab, broken)
    said(tab, '<b>bad<b>.fits')
    assert tab.locator('#said b').count() == 0 and tab.evaluate('stars()') == n + 1


def test_stars_are_asked_for_by_name(tab):
    "One of the store is chosen; one that cannot be had costs a line"
    name = ids(tab)[20]
    tab.locator('#wanted').fill(name)
    tab.keyboard.press('Enter')
    tab.wait_for_function('name => document.getElementById("name").textContent === name', arg=name)
    tab.locator('#wanted').fill('<i>no star</i>')
    tab.locator('#fetch').click()
    tab.wait_for_function('!document.getElementById("said").textContent.endsWith("looked for")', timeout=60_000)
    line = tab.locator('#said').inner_text()
    assert line and '\n' not in line and tab.locator('#said i').count() == 0


def test_names_are_no_markup(tab):
    tab.locator('#word').fill('onerror')
    tab.wait_for_function('tableOrder().length === 1')
    tab.evaluate('choose(tableOrder()[0])')
    assert tab.locator('#name').inner_text() == EVIL
    tab.wait_for_selector('.near')
    tab.evaluate('choose(rowAt(neighbours.get(column("row")[indexOf(current)])[0]))')
    assert tab.title() == 'stellar_gen explore' and tab.locator('img[src=x]').count() == 0


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('screen', [TELEPHONE, WIDE], ids=['telephone', 'wide'])
def test_screens(tab, scheme, screen):
    "Nothing is wider than the screen, and text stands out"
    from test_site import CONTRAST, contrast
    tab.set_viewport_size(screen)
    tab.emulate_media(color_scheme=scheme)
    tab.evaluate('document.getElementById("maker").open = true')
    tab.wait_for_selector('#maker .noUi-handle')
    tab.wait_for_function('scheme => document.documentElement.dataset.theme === scheme', arg=scheme)
    tab.wait_for_function('width => document.documentElement.scrollWidth <= width', arg=screen['width'])
    for what in ('body', '#facts', 'small', '.soft', '.near small'):
        tab.wait_for_selector(what)
        front, back = tab.evaluate('what => [getComputedStyle(document.querySelector(what)).color, '
                                   'getComputedStyle(document.body).backgroundColor]', what)
        assert contrast(front, back) >= CONTRAST, (what, front, back)


def test_a_kill_loses_no_vote(browser, served, store):
    "Amid votes: those on disk are whole, the page says that the connection is lost, and comes back with the server"
    file = served.keep / 'votes.csv'
    before = len(pd.read_csv(file)) if file.exists() else 0
    tab = browser.new_context(viewport=WIDE).new_page()
    opened(tab, served.url)
    tab.evaluate('for (let row = 40; row < 80; row++) live.vote(row, row % 2)')
    while not file.exists() or len(pd.read_csv(file)) < before + 5:
        time.sleep(.01)
    kill(served)
    kept = pd.read_csv(file)
    new = kept[kept['row'].between(40, 79)]
    assert len(new) >= 5 and (new.vote == new['row'] % 2).all() and not kept.duplicated('row').any()
    said(tab, 'connection to the server is lost')
    again = start(store, served.url.rstrip('/').rsplit(':', 1)[1])
    tab.wait_for_function('n => document.documentElement.dataset.ready && votes.size === n', arg=len(kept), timeout=LATE)
    kill(again)
    tab.context.close()


def test_others_need_the_token(browser, store):
    "On another address than this computer's the page asks for what the command has printed"
    server = start(store, 0, '--address', '0.0.0.0')
    here = server.url.replace('0.0.0.0', '127.0.0.1')
    without, token = here.split('?token=')
    assert len(token) > 20
    assert 'lacks the token' in requests.get(without).text and 'lacks the token' in requests.get(f'{without}?token=guess').text
    tab = browser.new_context(viewport=WIDE).new_page()
    tab.goto(here)
    tab.wait_for_selector(READY, timeout=LATE)
    assert tab.locator('#samp').count() == 0  # a list would go to programs on the server's computer
    tab.context.close()
    kill(server)
