"The site, built and opened in a browser: every page, every link, the search, a telephone"
import functools
import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag

import pytest
import yaml

PAGES = {'index.html', 'data.html', 'howto_score.html', 'benchmarks.html', 'api.html', 'changelog.html', 'citation.html'}
WIDE, TELEPHONE = dict(width=1400, height=900), dict(width=390, height=844)  # CSS pixels
MOST_LISTED = 14   # entries side by side in the sidebar
READABLE = 14    # CSS pixels, of text at least
CONTRAST = 4.5   # of text at least: WCAG 2.1, AA
BROKEN = '''() => [...document.querySelectorAll('img')].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)'''
NAMELESS = '''() => [...document.querySelectorAll('img')].filter(i => !i.alt).map(i => i.src.slice(0, 60))'''
# Where a page leads, the places in it that links can name (lines of code are none), and its number of titles
NAMED = '''() => [
    [...new Set([...document.querySelectorAll('a[href]')].map(a => a.href))],
    [...document.querySelectorAll('[id]')].map(e => e.id).filter(id => !id.startsWith('__')),
    document.querySelectorAll('h1').length,
]'''
RUNS_OFF = '''() => [...document.querySelectorAll('pre, pre > code')]
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 60))'''
TEXT = '''() => {
    const s = getComputedStyle(document.querySelector('article p'))
    return [parseFloat(s.fontSize), s.color, getComputedStyle(document.body).backgroundColor]
}'''


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope='module')
def site():
    "Address of the built site on this machine, and its folder"
    root = Path(__file__).parent.parent.resolve()
    r = subprocess.run([sys.executable, 'tools/docs.py'], cwd=root, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr[-3000:]
    handler = functools.partial(Quiet, directory=root / '_docs')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/', root / '_docs'
    server.shutdown()


def sidebar():
    "Pages of `_quarto.yml`, by the names they have on the site"
    from docs import contents
    return [page for _, entries in contents() for *_, page in entries]


# ------------------------------------------------------------------------------------------------------ every page
def listen(tab, url, odd):
    "Write down whatever a page complains of, and what it asks of other servers"
    def note(text):
        odd.append(f'{tab.url}: {text}')

    def on_console(message):
        if message.type in ('error', 'warning'):
            note(f'{message.type}: {message.text}')

    def on_failure(request):
        if 'ERR_ABORTED' not in str(request.failure):  # aborted: the next page was asked for
            note(f'{request.url} failed: {request.failure}')

    def on_request(request):
        if not request.url.startswith((url, 'data:')):
            note(f'asks {request.url}')

    def on_response(response):
        if response.status >= 400:
            note(f'{response.url} is {response.status}')

    tab.on('console', on_console)
    tab.on('pageerror', note)
    tab.on('requestfailed', on_failure)
    tab.on('request', on_request)
    tab.on('response', on_response)


def lost_links(links, anchors, url, folder):
    "Links into the site that lead nowhere"
    for page, hrefs in links.items():
        for href in hrefs:
            if not href.startswith(url):
                continue
            target, anchor = urldefrag(href[len(url):])
            target = target or 'index.html'
            if not (folder / unquote(target)).is_file():
                yield f'{page}: link to {target}, which is not there'
            elif anchor and target in anchors and unquote(anchor) not in anchors[target]:
                yield f'{page}: link to {target}#{anchor}, which is not there'


# Of a page in the scheme that it has: its width, code that runs off it, and its text
SCREEN = f'''() => [document.documentElement.scrollWidth, ({RUNS_OFF})(), ({TEXT})()]'''
DARKEN = 'document.body.dataset.mdColorScheme = "slate"'  # what the site does where people have chosen dark


@pytest.fixture(scope='module')
def seen(site, browser):
    "Every page, opened once: what it says on a wide screen, and on one as narrow as a telephone's, light and dark"
    url, folder = site
    pages, odd = {}, []
    tab = browser.new_page(viewport=WIDE, color_scheme='light')
    listen(tab, url, odd)
    index = json.loads((folder / 'search/search_index.json').read_text(encoding='utf-8'))
    index['docs'] = index['docs'][:1]  # each page reads it anew, which takes longer than all the rest; the search has a test
    tab.route('**/search_index.json', lambda route: route.fulfill(json=index))
    for p in sidebar():
        tab.set_viewport_size(WIDE)
        assert tab.goto(url + p).ok
        links, anchors, headings = tab.evaluate(NAMED)
        odd += [f'{p}: picture {o}' for o in tab.evaluate(BROKEN)]
        odd += [f'{p}: picture without a text {o}' for o in tab.evaluate(NAMELESS)]
        odd += [f'{p}: code runs off the page: {o}' for o in tab.evaluate(RUNS_OFF)]
        tab.set_viewport_size(TELEPHONE)
        screens = dict(light=tab.evaluate(SCREEN))
        tab.evaluate(DARKEN)
        screens['dark'] = tab.evaluate(SCREEN)
        pages[p] = SimpleNamespace(links=links, anchors=set(anchors), headings=headings, screens=screens)
    tab.close()
    return pages, odd


def test_every_page_opens_without_a_complaint(site, seen):
    url, folder = site
    pages, odd = seen
    assert len(pages) >= 40 and PAGES <= set(pages)
    assert {p: page.headings for p, page in pages.items()} == dict.fromkeys(pages, 1)
    links = {p: page.links for p, page in pages.items()}
    lost = lost_links(links, {p: page.anchors for p, page in pages.items()}, url, folder)
    odd = [*odd, *lost]
    assert not odd, '\n'.join(odd[:20])


def test_formulas_are_drawn_and_nothing_has_an_address(site):
    "No dollar of LaTeX is left beside a formula, and no place in memory is in a signature"
    odd = {page.name: found[0] for page in site[1].glob('*.html')
           if (found := re.findall(r'\$\s*<math|</math>\s*[.,]?\s*\$|object at 0x\w+', page.read_text(encoding='utf-8')))}
    assert not odd


def test_a_broken_page_would_be_found(site, browser):
    "The check above can fail: a page with a picture and a link to nowhere, a long line, and a script that stumbles"
    url, folder = site
    page = folder / 'broken.html'
    page.write_text('<h1>x</h1><a href="nowhere.html">x</a><img src="nowhere.png" alt="x"><script>undefined_function()</script>'
                    f'<pre>{"x" * 999}</pre>')
    odd = []
    tab = browser.new_page()
    listen(tab, url, odd)
    tab.goto(url + 'broken.html')
    tab.wait_for_timeout(200)
    broken, off = tab.evaluate(BROKEN), tab.evaluate(RUNS_OFF)
    odd += lost_links({'broken.html': [f'{url}nowhere.html']}, {}, url, folder)
    text = '\n'.join(odd)
    assert broken and off and 'nowhere.png is 404' in text and 'undefined_function' in text and 'link to nowhere.html' in text
    tab.close()
    page.unlink()


def files_of(contents):
    "Notebooks of a part of the sidebar, in order, with those of its sections"
    return [f for o in contents for f in (files_of(o['contents']) if isinstance(o, dict) else [o])]


def test_learn_path_is_in_order(root):
    "The sidebar lists the numbered notebooks in their order, no section is long, and every notebook is somewhere"
    contents = yaml.safe_load((root / '_quarto.yml').read_text())['website']['sidebar']['contents']
    sections = {o['section']: o['contents'] for o in contents if isinstance(o, dict)}
    assert files_of(sections['Learn']) == sorted(p.name for p in (root / 'nbs').glob('[0-9]*.ipynb'))
    assert len(sections['Learn']) <= MOST_LISTED
    assert all(len(o['contents']) <= MOST_LISTED for o in sections['Learn'] if isinstance(o, dict))
    alone = [o for o in contents if isinstance(o, str)]
    assert alone == ['index.ipynb', 'tour.ipynb', 'science.ipynb']
    assert {p.name for p in (root / 'nbs').glob('[!_.]*.ipynb')} <= set(files_of(contents))


def test_sections_of_the_sidebar_fold(site, browser):
    "The section of a page is open, the others are folded, and open with a click"
    tab = browser.new_page(viewport=WIDE)
    tab.goto(site[0] + 'data.html')
    listed = tab.locator('.md-sidebar--primary')
    assert listed.get_by_text('00b · ').is_visible()
    assert not listed.get_by_text('05a · ').is_visible()
    listed.locator('label', has_text='Anomalies').first.click()
    listed.get_by_text('05a · ').wait_for()
    tab.close()


# ------------------------------------------------------------------------------------------------------ using it
def test_search_finds_a_function(site, browser):
    tab = browser.new_page()
    tab.goto(site[0] + 'index.html')
    tab.locator('.md-search__input').click()
    tab.keyboard.type('continuum_normalize')
    hit = tab.locator('.md-search-result__link').first
    hit.wait_for(timeout=10_000)
    assert 'continuum_normalize' in tab.locator('.md-search-result').inner_text()
    hit.click()
    tab.wait_for_url(re.compile('preprocess|api'))
    tab.close()


def test_code_can_be_copied(site, browser):
    context = browser.new_context(permissions=['clipboard-read', 'clipboard-write'])
    tab = context.new_page()
    tab.goto(site[0] + 'data.html')
    block = tab.locator('div.highlight:has-text("sample_spectra()")').first
    block.hover()
    block.locator('.md-clipboard, [data-md-type=copy]').first.click()
    tab.wait_for_timeout(300)
    assert 'sample_spectra' in tab.evaluate('navigator.clipboard.readText()')
    context.close()


def numbers(colour):
    "Red, green, blue and opacity of a CSS colour"
    return ([float(o) for o in re.findall(r'[\d.]+', colour)] + [1.])[:4]


def linear(value):
    "Share of the full light of a channel, of 255"
    value = value / 255
    return value / 12.92 if value <= .04045 else ((value + .055) / 1.055)**2.4


def luminance(colour):
    return sum(weight * linear(value) for weight, value in zip((.2126, .7152, .0722), colour))


def contrast(front, back):
    "Ratio of luminances of two CSS colours, the first laid over the second: <https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio>"
    *front, opacity = numbers(front)
    *back, _ = numbers(back)
    seen = [opacity * f + (1 - opacity) * b for f, b in zip(front, back)]
    low, high = sorted((luminance(seen), luminance(back)))
    return (high + .05) / (low + .05)


def check_screen(page, screen):
    "Nothing is wider than a telephone, text is of a readable size and stands out"
    width, off, (size, front, back) = screen
    assert width <= TELEPHONE['width'], page
    assert not off, page
    assert size >= READABLE, page
    assert contrast(front, back) >= CONTRAST, (page, front, back)


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_pages_fit_a_telephone(site, seen, browser, scheme):
    "Each of them; and a telephone on which people have chosen the scheme gets the same colours"
    pages, _ = seen
    for p, page in pages.items():
        check_screen(p, page.screens[scheme])
    context = browser.new_context(viewport=TELEPHONE, color_scheme=scheme)
    tab = context.new_page()
    for p in ('index.html', 'data.html'):
        tab.goto(site[0] + p)
        screen = tab.evaluate(SCREEN)
        check_screen(p, screen)
        assert screen[2] == pages[p].screens[scheme][2], p
    context.close()


def test_markdown_beside_every_page(site):
    "`llms.txt` names a Markdown file for each page, and it is there and says something"
    folder = site[1]
    text = (folder / 'llms.txt').read_text()
    assert text.startswith('# stellar_gen\n\n> ')
    names = re.findall(r'\]\(\S+/([\w.]+\.html\.md)\)', text)
    assert {n[:-3] for n in names} == set(sidebar())
    for n in names:
        md = (folder / n).read_text()
        assert md.startswith('# ') and len(md) > 400 and '<style' not in md and '](http://127' not in md, n
    assert 'continuum_normalize' in (folder / 'preprocess.html.md').read_text()


def test_api_page_tells_of_every_room(site):
    "In reading order, each with its public names"
    from docs import rooms
    from stellar_gen._lazy import public_names
    text = (site[1] / 'api.html.md').read_text()
    assert re.findall(r'^## stellar_gen\.(\S+)', text, re.M) == list(rooms())
    for name in ('Grid', 'TrainedModel', 'calibrate', 'denoise'):
        assert f'[`{name}`](' in text, name
    assert 'read_spectrum' in public_names('data.files') and '[`read_spectrum`](' in text


def test_pages_tell_options_and_fields():
    "A command's options have their help, a named tuple its fields, and the source is the lesson's own"
    import docs

    def told(file, name, module, said):
        shown = f'[source]({docs.SOURCE}{file}#L1)\n\n### {name}\n\n```python\ndef {name}(\n    {said}\n):\n```'
        return docs.told_in_full(shown, module)

    fields = told('stellar_gen/explore.py', 'Vote', 'stellar_gen/explore.py', '*args, **kwargs')
    assert 'class Vote:\n    apogee_id: str\n' in fields and 'kwargs' not in fields
    options = told('stellar_gen/anomaly/scoring.py', 'score', 'stellar_gen/cli.py', 'out:Annotated')
    assert '| `--fdr` | Share of the flagged' in options and 'Annotated' not in options
    assert 'stellar_gen/cli.py#L' in options and 'scoring' not in options
    events = 'after_create:NoneType=None, before_fit:NoneType=None,\n    after_fit:NoneType=None'
    callback = told('stellar_gen/train/callbacks.py', 'KeepBest', 'stellar_gen/train/callbacks.py', events)
    assert 'def KeepBest():' in callback
    inherited = told('fastai/learner.py', 'SpectraLearner', 'stellar_gen/train/learner.py', 'dls:DataLoaders,\n    lr:float=0.001')
    assert 'class SpectraLearner(Learner)\n```' in inherited and 'dls' not in inherited
    own = told('stellar_gen/train/learner.py', 'SpectraDL', 'stellar_gen/train/learner.py', 'spectra, # To serve')
    assert '# To serve' in own
