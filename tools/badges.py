"""Put on top of every notebook how to run it elsewhere: badges of Colab and Binder, and a cell that installs the package

    tools/badges.py            # write both cells below the title, where they are missing or different
    tools/badges.py --check    # say which notebooks lack them

The badges stand in a cell of their own. The cell that installs is hidden on the site and does nothing where the package is.
"""
import configparser
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIRST = 'tour'  # where Binder begins for readers of the front page
FRONT = 'index'
INSTALL = """#| hide
from importlib.util import find_spec
if find_spec('stellar_gen') is None:
    %pip install -q 'stellar_gen[notebooks] @ git+{url}'"""


def places():
    "Address of the repository, and its branch"
    ini = configparser.ConfigParser(delimiters=['='])
    ini.read(ROOT / 'settings.ini', encoding='utf-8')
    return ini['DEFAULT']['git_url'], ini['DEFAULT']['branch']


def badges(stem):
    "One line of Markdown: a notebook in Colab, and in JupyterLab on Binder"
    url, branch = places()
    repository = url.removeprefix('https://github.com/')
    colab = f'https://colab.research.google.com/github/{repository}/blob/{branch}/nbs/{stem}.ipynb'
    opened = FIRST if stem == FRONT else stem
    binder = f'https://mybinder.org/v2/gh/{repository}/{branch}?labpath=nbs%2F{opened}.ipynb'
    return f'[![Open in Colab](images/colab.svg)]({colab}) [![Launch Binder](images/binder.svg)]({binder})'


def top(stem):
    "The two cells that follow a notebook's title"
    install = INSTALL.format(url=places()[0]).splitlines(keepends=True)
    return [
        dict(cell_type='markdown', id='badges', metadata={}, source=[badges(stem)]),
        dict(cell_type='code', execution_count=None, id='install', metadata={}, outputs=[], source=install),
    ]


def with_top(nb, stem):
    "A notebook with its two cells, whatever was there before"
    made = top(stem)
    ours = {c['id'] for c in made}
    title, *rest = (c for c in nb['cells'] if c['id'] not in ours)
    return dict(nb, cells=[title, *made, *rest])


def main():
    lacking = []
    for p in sorted((ROOT / 'nbs').glob('[!_.]*.ipynb')):
        nb = json.loads(p.read_text(encoding='utf-8'))
        wanted = with_top(nb, p.stem)
        if wanted == nb:
            continue
        lacking.append(p.name)
        if '--check' not in sys.argv:
            text = json.dumps(wanted, indent=1, sort_keys=True, ensure_ascii=False)
            p.write_text(text + '\n', encoding='utf-8')
    if '--check' in sys.argv and lacking:
        sys.exit(f'{", ".join(lacking)}: without badges or the cell that installs: run tools/badges.py')


if __name__ == '__main__':
    main()
