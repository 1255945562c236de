"Take the pictures of the report for its how-to anew: a simulated survey, on a wide screen light and dark, and on a telephone"
import shutil
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
}


def write_page(path):
    "A report of two hundred stars, some of them odd"
    survey = simulate(200, seed=81, anomalies=dict(emission=3, velocity=3, cosmic=3, step=3))
    write_report(path, load_model('apogee-16'), survey, top=20)


def take(browser, page, name):
    "One picture"
    width, height, scheme, what = SCREENS[name]
    context = browser.new_context(viewport=dict(width=width, height=height), color_scheme=scheme)
    tab = context.new_page()
    tab.goto(f'file://{page}')
    tab.wait_for_selector('html[data-ready=yes]')
    tab.wait_for_timeout(1500)  # until all is drawn
    tab.evaluate('what => document.querySelector(what).scrollIntoView()', what)
    tab.wait_for_timeout(300)
    tab.screenshot(path=IMAGES / f'{name}.png')
    context.close()


def main():
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        page = Path(folder) / 'report.html'
        write_page(page)
        browser = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        for name in SCREENS:
            take(browser, page, name)
        browser.close()


if __name__ == '__main__':
    main()
