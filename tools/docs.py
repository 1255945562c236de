"""Build the site into `_docs/`: `make docs`.

nbdev processes the notebooks into `_proc/`; pages that are not notebooks (API, benchmarks, changelog) are written beside
them. Quarto renders all of it where it is installed; elsewhere mkdocs-material renders the same pages under the same names,
from Markdown that nbconvert makes of the notebooks. That Markdown is also what `llms.txt` points to, beside every page.
"""
import ast
import configparser
import gc
import json
import logging
import re
import shutil
import subprocess
import warnings
from functools import cache
from itertools import groupby
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.resolve()
PROC, DOCS = ROOT / '_proc', ROOT / '_docs'
WORK = PROC / '.mkdocs'
INI = configparser.ConfigParser(delimiters=['='])
INI.read(ROOT / 'settings.ini', encoding='utf-8')
CFG = INI['DEFAULT']
HOST = CFG['doc_host'] + CFG['doc_baseurl'] + '/'
SOURCE = f"{CFG['git_url']}/blob/{CFG['branch']}/"


def cells_of(path):
    "Cells of a notebook"
    return json.loads(path.read_text(encoding='utf-8'))['cells']


def source(cell):
    return ''.join(cell['source'])


# ------------------------------------------------------------------------------------------ pages that are not notebooks
def rooms():
    "Modules in reading order, as the notebooks name them: `data.core`, `instrument`, ..."
    first = re.compile(r'#\s*\|\s*default_exp (\S+)')
    for p in sorted((ROOT / 'nbs').glob('[0-9]*.ipynb')):
        yield from (m[1] for c in cells_of(p) if (m := first.match(source(c))))


def modules():
    "Where nbdev says that each name of each module is explained"
    from stellar_gen._modidx import d
    return d['syms']


def api_rows(room, symbols):
    "A row for each public function and class of a module: name and lesson, what it does, source"
    from stellar_gen._lazy import public_names
    file = f'stellar_gen/{room.replace(".", "/")}.py'
    public = public_names(room)
    for o in ast.parse((ROOT / file).read_text(encoding='utf-8')).body:
        name = getattr(o, 'name', '')
        if name in public:
            page = symbols[f'stellar_gen.{room}.{name}']
            about = (ast.get_docstring(o) or '').splitlines()[0]
            yield f'| [`{name}`]({page[0]}) | {about} | [source]({SOURCE}{file}#L{o.lineno}) |'


def api_page():
    "Every public function and class of every module: what it is, where it is explained, where its source is"
    about = 'Every public function and class, with a link to its lesson and to its source'
    out = [f'---\ntitle: API\ndescription: {about}\n---\n']
    for room in rooms():
        module = ast.parse((ROOT / 'stellar_gen' / f'{room.replace(".", "/")}.py').read_text(encoding='utf-8'))
        rows = api_rows(room, modules()[f'stellar_gen.{room}'])
        out += [f'## stellar_gen.{room}', '', ast.get_docstring(module) or '', '']
        out += ['| name | what it does | |', '|---|---|---|', *rows, '']
    return '\n'.join(out)


def repository_page(path, title, description):
    "A Markdown file of the repository as a page: its title goes into the front matter, links to lessons become whole"
    text = re.sub(r'^# .*\n', '', (ROOT / path).read_text(encoding='utf-8'), count=1)
    text = re.sub(r'\]\(\.\./nbs/', '](', text)
    return f'---\ntitle: {title}\ndescription: {description}\n---\n\n{text.lstrip()}'


def slug(text, sep='-'):
    "Names of headings as pandoc makes them, so that links fit both builds"
    plain = re.sub(r'[^\w\s.-]', '', re.sub(r'<[^>]+>', '', text))
    return re.sub(r'^[^a-z]+', '', plain.strip().lower().replace(' ', sep))


def told_of(nb):
    "Anchors of the functions and classes that a processed notebook tells of"
    outputs = [o.get('data', {}).get('text/markdown', '') for c in nb['cells'] for o in c.get('outputs', [])]
    return {slug(name) for text in outputs for name in re.findall(r'^### (\S+)', ''.join(text), re.M)}


def without_links(block):
    "A code block without the links that nbdev puts into it, since they do not work there"
    return re.sub(r'\[(`[^`\]]+`)\]\(http[^)]*\)', r'\1', block.group(0))


def tidy_text(text, anchors):
    "Markdown whose links are relative and lead to what a page tells of; a method's to where its class is"
    def link(m):
        name, page, anchor = m.groups()
        near = [a for a in (anchor, anchor.split('.')[0]) if a in anchors.get(page, ())]
        return f'[{name}]({page}#{near[0]})' if near else name

    text = text.replace(f']({HOST}', '](').replace('](../benchmarks/README.md)', '](benchmarks.qmd)')
    return re.sub(r'\[(`[^`\]]+`)\]\((\w+\.html)#([\w.]+)\)', link, text)


@cache
def parsed(file):
    "The syntax tree of a module, and its lines"
    text = (ROOT / file).read_text(encoding='utf-8')
    return ast.parse(text), text.splitlines()


def definition(file, name):
    "A class or function of a module in its syntax tree, and the module's lines"
    tree, lines = parsed(file)
    found = [o for o in tree.body if getattr(o, 'name', '') == name]
    return (found[0] if found else None), lines


def with_fields(block, file, name):
    "A named tuple or data class with its fields and their comments, of which nbdev writes `*args, **kwargs`"
    made, lines = definition(file, name)
    fields = [f for f in getattr(made, 'body', ()) if isinstance(f, ast.AnnAssign) and not f.target.id.startswith('_')]
    told = [line for f in fields for line in lines[f.lineno - 1:f.end_lineno]]
    untold = f'def {name}(\n    *args, **kwargs\n):'
    return block.replace(untold, '\n'.join([f'class {name}:', *told])) if told else block


def without_inherited(block, file, name):
    "A class that takes only what another library's class takes, without that: its first line says whose it is"
    made, _ = definition(file, name)
    ours = {symbol.rsplit('.', 1)[-1] for symbols in modules().values() for symbol in symbols}
    bases = [ast.unparse(o) for o in getattr(made, 'bases', ())]
    takes_more = any(getattr(o, 'name', '') == '__init__' for o in getattr(made, 'body', ()))
    if not bases or takes_more or (ours | {'NamedTuple'}) & set(bases):
        return block
    shown = f'class {name}({", ".join(bases)})'
    return re.sub(rf'def {name}\(\n.*?\n\)(->\w+)?:', shown, block, flags=re.S)


def with_options(block, name):
    "A command's arguments and options with their help, of which nbdev writes that they are annotated"
    from typer.main import get_command

    from stellar_gen.cli import app
    rows = []
    for p in get_command(app).commands[name].params:
        option = max(p.opts or p.secondary_opts, key=len)
        rows.append(f"| `{option if option.startswith('-') else option.upper()}` | {p.help} |")
    table = '\n'.join([f'`stellar_gen {name}`', '', '| | |', '|---|---|', *rows])
    return re.sub(r'```python\n.*?```', lambda m: table, block, flags=re.S)


EVENTS = re.compile(r'(?:, )?\n? *\b(?:before|after)_\w+:NoneType=None,?')  # that each callback of fastai inherits
SHOWN = re.compile(re.escape(SOURCE) + r'(\S+\.py)#L\d+.*?^### (\w+)$', re.M | re.S)  # what `show_doc` begins with


def told_in_full(block, module):
    "What `show_doc` printed, with the source in the lesson's own module, with fields and with options"
    if not (shown := SHOWN.search(block)):
        return block
    file, name = shown[1], shown[2]
    if file != module and (own := definition(module, name)[0]):
        block = re.sub(re.escape(SOURCE) + r'\S+\.py#L\d+', f'{SOURCE}{module}#L{own.lineno}', block)
        file = module
    block = EVENTS.sub('', block).replace('(\n):', '():')
    if ':Annotated' in block:
        return with_options(block, name)
    return without_inherited(with_fields(block, file, name), file, name)


def module_of(lesson):
    "File of the module that a lesson exports; empty without one"
    found = [m[1] for c in cells_of(lesson) if (m := re.match(r'#\s*\|\s*default_exp (\S+)', source(c)))]
    return f"stellar_gen/{found[0].replace('.', '/')}.py" if found else ''


def tidy(nb, anchors, module):
    "A processed notebook whose links work on the site"
    for c in nb['cells']:
        text = source(c)
        c['source'] = tidy_text(text, anchors) if c['cell_type'] == 'markdown' else text
        for o in c.get('outputs', []):
            if md := o.get('data', {}).get('text/markdown'):
                plain = re.sub(r'```.*?```', without_links, ''.join(md), flags=re.S)
                o['data']['text/markdown'] = tidy_text(told_in_full(plain, module) if module else plain, anchors)
    return nb


def process():
    "Everything that is rendered, in `_proc/`"
    from nbdev.quarto import refresh_quarto_yml
    from nbdev.serve import proc_nbs
    shutil.rmtree(PROC, ignore_errors=True)
    refresh_quarto_yml()
    proc_nbs(n_workers=0)  # in this process: what lessons import is imported once
    made = {p: json.loads(p.read_text(encoding='utf-8')) for p in PROC.glob('*.ipynb')}
    anchors = {page_of(nb['cells'][0]).get('output-file', ''): told_of(nb) for nb in made.values()}
    for p, nb in made.items():
        p.write_text(json.dumps(tidy(nb, anchors, module_of(ROOT / 'nbs' / p.name))), encoding='utf-8')
    for folder in ('benchmarks/figures', 'nbs/images'):
        shutil.copytree(ROOT / folder, PROC / Path(folder).name, dirs_exist_ok=True)
    shutil.copy(ROOT / 'nbs' / 'styles.css', PROC)
    about = 'What was measured, against whom, and by which command'
    pages = dict(
        api=api_page(),
        benchmarks=repository_page('benchmarks/README.md', 'Benchmarks', about),
        changelog=repository_page('CHANGELOG.md', 'Changelog', 'What changed, by version'),
    )
    for name, text in pages.items():
        (PROC / f'{name}.qmd').write_text(text, encoding='utf-8')


# --------------------------------------------------------------------------------------------------- notebooks to Markdown
def front_matter(text):
    "The YAML on top of a page, and the rest"
    _, head, body = re.split(r'^---\s*$', text, maxsplit=2, flags=re.M)
    return yaml.safe_load(head), body.strip() + '\n'


def page_of(cell):
    "Front matter in the first cell of a processed notebook"
    return front_matter(source(cell))[0]


FIGURE = re.compile(r'^#\| fig-alt: "(.*)"', re.M)  # the alternative text of a cell's figure


def cell_text(c):
    "Quarto's instructions followed: what `show_doc` printed stands by itself, comments `#|` are gone"
    c = dict(c, metadata={})
    if c['cell_type'] == 'code' and '#| echo: false' in c['source']:
        printed = [o['data']['text/markdown'] for o in c['outputs'] if 'text/markdown' in o.get('data', {})]
        return dict(cell_type='markdown', metadata={}, source='\n\n'.join(''.join(o) for o in printed))
    if c['cell_type'] == 'code':
        c['source'] = re.sub(r'^#\|.*\n?', '', c['source'], flags=re.M)
    return c


@cache
def exporter():
    "One for all pages: its templates are compiled once"
    from nbconvert import MarkdownExporter
    return MarkdownExporter()


def to_markdown(path, html=True):
    "Front matter, Markdown and pictures by name of one page of `_proc/`; tables as HTML, or as they print"
    import nbformat
    if path.suffix == '.qmd':
        return *front_matter(path.read_text(encoding='utf-8')), {}
    cells = cells_of(path)
    meta = page_of(cells[0])
    cells = [c for c in cells[1:] if 'WARNING: THIS FILE WAS' not in c['source']]
    said = {number: found[1] for number, c in enumerate(cells) if (found := FIGURE.search(source(c)))}
    cells = [cell_text(c) for c in cells]
    for number, c in enumerate(cells):
        c['id'] = f'c{number}'
        for o in c.get('outputs', []):
            if not html:
                o.get('data', {}).pop('text/html', None)
    nb = dict(nbformat=4, nbformat_minor=5, metadata=dict(language_info=dict(name='python')), cells=cells)
    names = dict(unique_key=Path(meta['output-file']).stem, output_files_dir='figures')
    text, res = exporter().from_notebook_node(nbformat.reads(json.dumps(nb), as_version=4), names)
    text = re.sub(r'<style scoped>.*?</style>', '', text, flags=re.S)
    text = re.sub(r'<table [^>]*class="[^"]*"[^>]*>', '<table>', text)  # of pandas and astropy: the site has one style
    text = re.sub(r'^(    .*\n)\s*?\n\s*?\n\s*?\n(?=    )', r'\1\n', text, flags=re.M)  # outputs of one cell stand together

    def picture(match):
        "A picture with what its cell says of it"
        return f'![{said.get(int(match[2]), "A figure of: " + meta["title"])}]({match[1]}'
    return meta, re.sub(r'!\[(?:png|svg)\]\(([^)]*_(\d+)_\d+\.)', picture, text), res['outputs']


def entry(file):
    "Source file, title, description and page of an entry of the sidebar"
    path = PROC / file
    meta = front_matter(path.read_text(encoding='utf-8'))[0] if path.suffix == '.qmd' else page_of(cells_of(path)[0])
    return file, meta['title'], meta['description'], meta.get('output-file', path.stem + '.html')


def listed(entries, path=()):
    "What a part of the sidebar holds, in order: the sections that lead to some entries, and these, each by `entry`"
    for inside, some in groupby(entries, lambda o: isinstance(o, dict)):
        if not inside:
            yield path, [entry(file) for file in some]
            continue
        for o in some:
            yield from listed(o['contents'], (*path, o['section']))


def contents():
    "The sidebar of `_quarto.yml`: names of sections, from the outer one, and the entries that stand there"
    quarto = yaml.safe_load((ROOT / '_quarto.yml').read_text(encoding='utf-8'))
    return list(listed(quarto['website']['sidebar']['contents']))


def linked(text, pages, suffix):
    "Links to notebooks and to files of `_proc/` as links to pages"
    names = {name: page.removesuffix('.html') + suffix for file, _, _, page in pages for name in (file, page)}
    link = r'\]\(([\w./-]+?\.(?:ipynb|qmd|html))((?:#[^)\s]*)?)\)'
    return re.sub(link, lambda m: f']({names.get(m[1], m[1])}{m[2]})', text)


def write_markdown(toc):
    "Each page as Markdown beside it, and `llms.txt`, which lists them: <https://llmstxt.org>"
    pages = [p for _, entries in toc for p in entries]
    for file, title, about, page in pages:
        _, text, _ = to_markdown(PROC / file, html=False)
        text = linked(without_addresses(text), pages, '.html.md')
        (DOCS / f'{page}.md').write_text(f'# {title}\n\n> {about}\n\n{text}', encoding='utf-8')
    lines = [f"# {CFG['title']}", '', f"> {CFG['description']}", '']
    for path, entries in toc:
        lines += [f'## {": ".join(path) or "Start here"}', '']
        lines += [*(f'- [{title}]({HOST}{page}.md): {about}' for _, title, about, page in entries), '']
    (DOCS / 'llms.txt').write_text('\n'.join(lines), encoding='utf-8')


# ------------------------------------------------------------------------------------------------------------- mkdocs
def mathml(m):
    "A formula in LaTeX as MathML"
    from html import unescape

    from latex2mathml.converter import convert
    return convert(unescape(m[2]).strip(), display='block' if m[1] == 'div' else 'inline')


def with_formulas(html, **kwargs):
    "LaTeX as MathML, which browsers draw without any script"
    return re.sub(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', mathml, html, flags=re.S)


def shown(file, title):
    "What the sidebar calls a page: a lesson by its number, too"
    number = re.match(r'(\d\d[a-z]*)_', file)
    if file == 'index.ipynb':
        return 'Home'
    return f'{number[1]} · {title}' if number else title


def navigation(toc):
    "The sidebar as mkdocs reads it: sections within sections, each a name with what it holds"
    nav = []
    for path, entries in toc:
        inside = nav
        for section in path:
            if not (inside and list(inside[-1]) == [section]):
                inside.append({section: []})
            inside = inside[-1][section]
        inside += [{shown(file, title): f'{Path(page).stem}.md'} for file, title, _, page in entries]
    return nav


def without_addresses(text):
    "Text without places in memory, which are others each time"
    return re.sub(r'(&lt;|\\?<)object object at 0x[0-9a-f]+(&gt;|\\?>)', '…', text)


def by_mkdocs(toc):
    "The site, by mkdocs-material"
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    WORK.mkdir(parents=True, exist_ok=True)
    pages = [p for _, entries in toc for p in entries]
    for file, title, about, page in pages:
        _, text, pictures = to_markdown(PROC / file)
        head = yaml.safe_dump(dict(title=title, description=about))
        text = f'---\n{head}---\n\n# {title}\n\n*{about}*\n\n{linked(without_addresses(text), pages, ".md")}'
        (WORK / f'{Path(page).stem}.md').write_text(text, encoding='utf-8')
        for name, picture in pictures.items():
            (WORK / name).parent.mkdir(exist_ok=True)
            (WORK / name).write_bytes(picture)
    for folder in ('figures', 'images'):
        shutil.copytree(PROC / folder, WORK / folder, dirs_exist_ok=True)
    shutil.copy(ROOT / 'nbs' / 'styles.css', WORK)
    link = dict(icon='fontawesome/brands/github', link=CFG['git_url'], name='Source')
    config = load_config(
        str(ROOT / 'tools' / 'mkdocs.yml'),
        nav=navigation(toc),
        docs_dir=str(WORK),
        site_dir=str(DOCS),
        site_url=HOST,
        site_description=CFG['description'],
        copyright=CFG['copyright'],
        extra=dict(generator=False, social=[link]),
    )
    config.mdx_configs['toc']['slugify'] = slug
    config.plugins.events['page_content'].append(with_formulas)
    build(config)


def main():
    gc.disable()  # looking for garbage takes as long as making the pages, and frees little
    logging.basicConfig(format='%(message)s')  # mkdocs says there which links are broken
    warnings.simplefilter('ignore')
    process()
    toc = contents()
    shutil.rmtree(DOCS, ignore_errors=True)
    if quarto := shutil.which('quarto'):
        subprocess.run([quarto, 'render', '--no-cache'], cwd=PROC, check=True)
        shutil.move(PROC / CFG['doc_path'], DOCS)
    else:
        by_mkdocs(toc)
    write_markdown(toc)
    count = sum(len(entries) for _, entries in toc)
    by = 'Quarto' if quarto else 'mkdocs-material'
    where = DOCS.relative_to(ROOT)
    print(f'{count} pages in {where}, by {by}: open {where}/index.html, or for the search run '
          f'`python -m http.server -d {where}` and open http://localhost:8000')
    gc.freeze()  # at the end of Python, IPython collects once a lesson: a minute, if all objects were looked at


if __name__ == '__main__':
    main()
