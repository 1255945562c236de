"""Write README.md from `nbs/index.ipynb`, or with `--check` say whether it is in step.

Markdown cells go in as they are, code cells as fenced blocks with their stored text output below.
Pictures are written to `nbs/images/`, with the text that their cells have for those who do not see them. Links, relative to
`nbs/`, are made relative to the root. Cells that begin with `#| hide` or `#| default_exp` stay out. Quarto is not needed.
"""
import base64
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOTE = '<!-- Written by tools/readme.py from nbs/index.ipynb: edit the notebook and run `make readme`. -->'


def outputs(cell, pictures):
    "What a code cell printed, returned or drew; pictures are added to `pictures`"
    for o in cell['outputs']:
        data = o.get('data', {})
        if png := data.get('image/png'):
            name = f'nbs/images/readme_{len(pictures)}.png'
            pictures[name] = base64.b64decode(''.join(png))
            said = re.search(r'^#\| fig-alt: "(.*)"', ''.join(cell['source']), re.M)
            yield f'![{said[1] if said else "What the code above draws"}]({name})'
        elif text := o.get('text') or data.get('text/plain'):
            yield f'```\n{"".join(text).rstrip()}\n```'


def to_root(link):
    "A link relative to `nbs/`, relative to the root"
    target = link[1]
    return '](' + (target[3:] if target.startswith('../') else f'nbs/{target}')


def to_markdown(cell, pictures):
    "One cell, or None if it is hidden"
    text = ''.join(cell['source']).strip()
    if not text or re.match(r'#\s*\|\s*(hide|default_exp)', text):
        return None
    if cell['cell_type'] == 'markdown':
        return re.sub(r'\]\((?=[./\w]+\.(?:ipynb|qmd|png|svg|md)(?:#[\w-]+)?\))([./\w]+)', to_root, text)
    code = '\n'.join(line for line in text.splitlines() if not line.startswith('#|'))
    return '\n\n'.join([f'```python\n{code}\n```', *outputs(cell, pictures)])


def readme():
    "All of README.md, and its pictures by name"
    cells = json.loads((ROOT / 'nbs' / 'index.ipynb').read_text(encoding='utf-8'))['cells']
    pictures = {}
    parts = [to_markdown(c, pictures) for c in cells]
    return '\n\n'.join([NOTE, *filter(None, parts)]) + '\n', pictures


def main():
    text, pictures = readme()
    files = {'README.md': text.encode()} | pictures
    if '--check' in sys.argv:
        odd = [n for n, content in files.items() if not (ROOT / n).is_file() or (ROOT / n).read_bytes() != content]
        sys.exit(f'{", ".join(odd)}: not what nbs/index.ipynb makes: run `make readme`' if odd else 0)
    for n, content in files.items():
        (ROOT / n).parent.mkdir(exist_ok=True)
        (ROOT / n).write_bytes(content)


if __name__ == '__main__':
    main()
