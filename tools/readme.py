"""Write README.md from `nbs/index.ipynb`, or with `--check` say whether it is in step.

Markdown cells go in as they are, code cells as fenced blocks with their stored text output below.
Links to notebooks and pictures, relative to `nbs/`, are made relative to the root.
Cells that begin with `#| hide` or `#| default_exp` stay out. Quarto is not needed.
"""
import json, re, sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

def output_text(cell):
    "What a code cell printed or returned, as text"
    for o in cell['outputs']:
        text = o.get('text') or o.get('data', {}).get('text/plain')
        if text: yield ''.join(text).rstrip()

def to_markdown(cell):
    "One cell, or None if it is hidden"
    src = ''.join(cell['source']).strip()
    if not src or re.match(r'#\s*\|\s*(hide|default_exp)', src): return
    if cell['cell_type']=='markdown': return re.sub(r'\]\((?=[\w/]+\.(ipynb|png)\))', '](nbs/', src)
    code = '\n'.join(l for l in src.splitlines() if not l.startswith('#|'))
    out = '\n'.join(output_text(cell))
    return f'```python\n{code}\n```' + (f'\n\n```\n{out}\n```' if out else '')

def readme():
    "All of README.md"
    cells = json.loads((ROOT/'nbs'/'index.ipynb').read_text(encoding='utf-8'))['cells']
    note = '<!-- Written by tools/readme.py from nbs/index.ipynb: edit the notebook and run `make readme`. -->'
    return '\n\n'.join([note, *filter(None, map(to_markdown, cells))]) + '\n'

if __name__=='__main__':
    path,text = ROOT/'README.md',readme()
    if '--check' in sys.argv: sys.exit(0 if path.read_text(encoding='utf-8')==text else 'README.md is not what nbs/index.ipynb makes: run `make readme`')
    path.write_text(text, encoding='utf-8')
