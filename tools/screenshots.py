"Take the pictures of the report and of the live page anew: a simulated survey, on wide screens and on a telephone"
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from stellar_gen.model import load_model
from stellar_gen.report import write_report
from stellar_gen.simulate import simulate

IMAGES = Path(__file__).parent.parent / 'nbs' / 'images'
SCREENS = {  # width and height in CSS pixels, colours, and what is brought to the top
    'report_first': (1200, 780, 'light', 'body'),
    'report_star': (1200, 860, 'dark', '.work'),
    'report_telephone': (390, 780, 'light', '#star'),
    'explore_first': (1200, 860, 'light', 'body'),
    'explore_star': (1200, 860, 'light', '.work'),
    'explore_made': (1200, 860, 'dark', '#star'),
    'explore_map': (1200, 560, 'light', '.maps'),
}
ACTS = {  # what is done before
    'explore_made': ['choose(12)', 'WAIT', '$("maker").open = true', '$("make-alike").click()', 'WAIT'],
    'explore_map': ['look("kind"); $("colour").value = "kind"',
                    'for (const t of parts.left.toolbar.tools.flat()) if (t.type === "LassoSelectTool") t.active = true'],
}


def survey():
    "Two hundred stars, some of them odd"
    return simulate(200, seed=81, anomalies=dict(emission=3, velocity=3, cosmic=3, step=3))


def serve(folder, stars):
    "A process that shows a live page, and its address"
    stars.save(folder / 'survey')
    code = 'import sys; from stellar_gen.cli import main; main()'
    args = ['explore', str(folder / 'survey'), '--no-browser', '--port', '0']
    process = subprocess.Popen([sys.executable, '-c', code, *args], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[1]


def lasso(tab):
    "Draw one on the left map"
    box = tab.locator('.maps .part').first.bounding_box()
    left, top, right, bottom = (box[k] for k in ('x', 'y', 'width', 'height'))
    corners = [(.62, .45), (.8, .4), (.9, .6), (.75, .75), (.6, .65)]
    tab.mouse.move(left + .6 * right, top + .65 * bottom)
    tab.mouse.down()
    for x, y in corners:
        tab.mouse.move(left + x * right, top + y * bottom, steps=4)
    tab.mouse.up()


def take(browser, address, name):
    "One picture"
    width, height, scheme, what = SCREENS[name]
    context = browser.new_context(viewport=dict(width=width, height=height), color_scheme=scheme)
    tab = context.new_page()
    tab.goto(address)
    tab.wait_for_selector('html[data-ready=yes]')
    tab.wait_for_function('!document.getElementById("work") || document.getElementById("work").hidden', timeout=60_000)
    tab.wait_for_timeout(1500)  # until all is drawn
    for act in ACTS.get(name, []):
        tab.wait_for_timeout(800) if act == 'WAIT' else tab.evaluate(act)
    tab.evaluate('what => document.querySelector(what).scrollIntoView()', what)
    tab.wait_for_timeout(300)
    if name == 'explore_map':
        lasso(tab)
        tab.wait_for_timeout(500)
    tab.screenshot(path=IMAGES / f'{name}.png')
    context.close()


def main():
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    model, stars = load_model('apogee-16'), survey()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        page = Path(folder) / 'report.html'
        write_report(page, model, stars, top=20)
        process, live = serve(Path(folder), stars)
        browser = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        for name in SCREENS:
            take(browser, live if name.startswith('explore') else f'file://{page}', name)
        browser.close()
        process.terminate()
        process.wait()


if __name__ == '__main__':
    main()
