"The site, built and opened in a browser: every page, every link, the search, a telephone"
import functools, http.server, re, shutil, subprocess, sys, threading
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

pytestmark = pytest.mark.xdist_group('site') # one worker builds the site, once

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "Address of the built site on this machine, and its folder"
    root = Path(__file__).parent.parent.resolve()
    r = subprocess.run([sys.executable, 'tools/docs.py'], cwd=root, capture_output=True, text=True)
    assert r.returncode==0, r.stderr[-3000:]
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=root/'_docs'))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/',root/'_docs'
    server.shutdown()

@pytest.fixture(scope='module')
def browser():
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not chromium: pytest.skip('no chromium on this machine: apt-get install chromium')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        yield b
        b.close()

def sidebar(folder):
    "Pages of `_quarto.yml`, by the names they have on the site"
    sys.path.insert(0, str(folder.parent/'tools'))
    from docs import contents
    return [page for _,entries in contents() for *_,page in entries]

def test_every_page_opens_without_a_complaint(site, browser):
    url,folder = site
    pages = sidebar(folder)
    assert len(pages)>=40 and {'index.html','data.html','howto_score.html','benchmarks.html','api.html','changelog.html','citation.html'}<=set(pages)
    links,anchors,odd = {},{},[]
    tab = browser.new_page()
    tab.on('console', lambda m: odd.append(f'{tab.url}: {m.type}: {m.text}') if m.type in ('error','warning') else None)
    tab.on('pageerror', lambda e: odd.append(f'{tab.url}: {e}'))
    tab.on('requestfailed', lambda r: odd.append(f'{tab.url}: {r.url} failed: {r.failure}') if 'ERR_ABORTED' not in str(r.failure) else None) # aborted: the next page was asked for
    tab.on('request', lambda r: odd.append(f'{tab.url}: asks {r.url}') if not r.url.startswith((url,'data:')) else None)
    tab.on('response', lambda r: odd.append(f'{tab.url}: {r.url} is {r.status}') if r.status>=400 else None)
    for p in pages:
        assert tab.goto(url+p).ok
        links[p] = tab.eval_on_selector_all('a[href]', 'l => l.map(a => a.href)')
        anchors[p] = set(tab.eval_on_selector_all('[id]', 'l => l.map(a => a.id)'))
        assert tab.locator('h1').count()==1, p
        if broken := tab.eval_on_selector_all('img', 'l => l.filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)'): odd.append(f'{p}: pictures {broken}')
        if nameless := tab.eval_on_selector_all('img', 'l => l.filter(i => !i.alt).map(i => i.src.slice(0, 60))'): odd.append(f'{p}: pictures without a text {nameless}')
    tab.close()
    for p,hrefs in links.items():
        for h in hrefs:
            if not h.startswith(url): continue
            page,anchor = urldefrag(h[len(url):])
            page = page or 'index.html'
            if not (folder/unquote(page)).is_file(): odd.append(f'{p}: link to {page}, which is not there')
            elif anchor and page in anchors and unquote(anchor) not in anchors[page]: odd.append(f'{p}: link to {page}#{anchor}, which is not there')
    assert not odd, '\n'.join(odd[:20])

def test_learn_path_is_in_order(root):
    "The sidebar lists the numbered notebooks in the order of their numbers"
    import yaml
    sections = {o['section']:o['contents'] for o in yaml.safe_load((root/'_quarto.yml').read_text())['website']['sidebar']['contents'] if isinstance(o, dict)}
    assert [f[:2] for f in sections['Learn']]==sorted(f[:2] for f in sections['Learn'])
    known = {f for o in sections.values() for f in o}|{'index.ipynb'}
    assert {p.name for p in (root/'nbs').glob('[!_.]*.ipynb')}<=known

def test_search_finds_a_function(site, browser):
    tab = browser.new_page()
    tab.goto(site[0]+'index.html')
    tab.locator('.md-search__input').click()
    tab.keyboard.type('continuum_normalize')
    hit = tab.locator('.md-search-result__link').first
    hit.wait_for(timeout=10_000)
    assert 'continuum_normalize' in tab.locator('.md-search-result').inner_text()
    hit.click()
    tab.wait_for_url(re.compile('preprocess|api'))
    tab.close()

def test_code_can_be_copied(site, browser):
    context = browser.new_context(permissions=['clipboard-read','clipboard-write'])
    tab = context.new_page()
    tab.goto(site[0]+'data.html')
    block = tab.locator('div.highlight:has-text("sample_spectra()")').first
    block.hover()
    block.locator('.md-clipboard, [data-md-type=copy]').first.click()
    tab.wait_for_timeout(300)
    assert 'sample_spectra' in tab.evaluate('navigator.clipboard.readText()')
    context.close()

@pytest.mark.parametrize('scheme', ['light','dark'])
def test_pages_fit_a_telephone(site, browser, scheme):
    "Nothing wider than the screen, text of a readable size, and a contrast of at least 4.5 (WCAG 2.1, AA)"
    context = browser.new_context(viewport=dict(width=390, height=844), color_scheme=scheme)
    tab = context.new_page()
    for p in sidebar(site[1]):
        tab.goto(site[0]+p)
        assert tab.evaluate('document.documentElement.scrollWidth')<=390, p
        size,front,back = tab.evaluate('''() => { const s = getComputedStyle(document.querySelector('article p')); return [parseFloat(s.fontSize), s.color, getComputedStyle(document.body).backgroundColor] }''')
        assert size>=14, p
        assert contrast(front, back)>=4.5, (p, front, back)
    context.close()

def contrast(a, b):
    "Ratio of luminances of two CSS colours, the first laid over the second: <https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio>"
    (*front,alpha),(*back,_) = (([float(o) for o in re.findall(r'[\d.]+', c)]+[1.])[:4] for c in (a,b))
    front = [alpha*f+(1-alpha)*o for f,o in zip(front, back)]
    def luminance(c): return sum(w*(v/12.92 if v<=.04045 else ((v+.055)/1.055)**2.4) for w,v in zip((.2126,.7152,.0722), (o/255 for o in c)))
    hi,lo = sorted((luminance(front),luminance(back)), reverse=True)
    return (hi+.05)/(lo+.05)

def test_markdown_beside_every_page(site):
    "`llms.txt` names a Markdown file for each page, and it is there and says something"
    folder = site[1]
    text = (folder/'llms.txt').read_text()
    assert text.startswith('# stellar_gen\n\n> ')
    names = re.findall(r'\]\(\S+/([\w.]+\.html\.md)\)', text)
    assert {n[:-3] for n in names}==set(sidebar(folder))
    for n in names:
        md = (folder/n).read_text()
        assert md.startswith('# ') and len(md)>400 and '<style' not in md and '](http://127' not in md, n
    assert 'continuum_normalize' in (folder/'preprocess.html.md').read_text()

def test_a_broken_link_would_be_found(site, browser):
    "The check above can fail: a page with a link and a picture to nowhere"
    url,folder = site
    (folder/'broken.html').write_text('<h1>x</h1><img src="nowhere.png" alt="x"><script>undefined_function()</script>')
    bad = []
    tab = browser.new_page()
    tab.on('response', lambda r: bad.append(r.status) if r.status>=400 else None)
    tab.on('pageerror', lambda e: bad.append(str(e)))
    tab.goto(url+'broken.html')
    tab.wait_for_timeout(200)
    assert 404 in bad and any('undefined_function' in str(o) for o in bad)
    (folder/'broken.html').unlink(); tab.close()
