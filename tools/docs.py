"""Build the site into `_docs/`: `make docs`.

nbdev processes the notebooks into `_proc/`; pages that are not notebooks (API, benchmarks, changelog) are written beside
them. Quarto renders all of it where it is installed; elsewhere mkdocs-material renders the same pages under the same names,
from Markdown that nbconvert makes of the notebooks. That Markdown is also what `llms.txt` points to, beside every page.
"""
import ast, configparser, json, logging, re, shutil, subprocess, warnings
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.resolve()
PROC,DOCS,WORK = ROOT/'_proc',ROOT/'_docs',ROOT/'_proc'/'.mkdocs'
CFG = configparser.ConfigParser(delimiters=['='])
CFG.read(ROOT/'settings.ini', encoding='utf-8')
CFG = CFG['DEFAULT']
HOST,SOURCE = CFG['doc_host']+CFG['doc_baseurl']+'/',f"{CFG['git_url']}/blob/{CFG['branch']}/"

# ------------------------------------------------------------------------------------------ pages that are not notebooks
def rooms():
    "Modules in reading order, as the notebooks name them: `data.core`, `instrument`, ..."
    first = re.compile(r'#\s*\|\s*default_exp (\S+)')
    for p in sorted((ROOT/'nbs').glob('[0-9]*.ipynb')):
        cells = [''.join(c['source']) for c in json.loads(p.read_text(encoding='utf-8'))['cells']]
        yield from (m[1] for c in cells if (m := first.match(c)))

def api_page():
    "Every public function and class of every module: what it is, where it is explained, where its source is"
    from stellar_gen._modidx import d
    out = ['---', 'title: API', 'description: Every public function and class, with a link to its lesson and to its source', '---', '']
    for room in rooms():
        file = room.replace('.', '/')
        tree = ast.parse((ROOT/'stellar_gen'/f'{file}.py').read_text(encoding='utf-8'))
        name,syms = f'stellar_gen.{room}',d['syms'][f'stellar_gen.{room}']
        out += [f'## {name}', '', ast.get_docstring(tree) or '', '', '| name | what it does | |', '|---|---|---|']
        for o in tree.body:
            page = syms.get(f'{name}.{getattr(o, "name", "")}')
            if page and o.name[0]!='_': out.append(f'| [`{o.name}`]({page[0]}) | {(ast.get_docstring(o) or "").splitlines()[0]} | [source]({SOURCE}{page[1]}#L{o.lineno}) |')
        out.append('')
    return '\n'.join(out)

def repository_page(path, title, description):
    "A Markdown file of the repository as a page: its title goes into the front matter, links into the repository become whole"
    text = re.sub(r'^# .*\n', '', (ROOT/path).read_text(encoding='utf-8'), count=1)
    text = re.sub(r'\]\(\.\./nbs/', '](', text)
    return f'---\ntitle: {title}\ndescription: {description}\n---\n\n{text.lstrip()}'

def tidy(nb):
    "Links that nbdev puts into code blocks do not work there; links to our own pages are better relative"
    def plain(m): return re.sub(r'\[(`[^`\]]+`)\]\(http[^)]*\)', r'\1', m.group(0))
    for c in nb['cells']:
        text = re.sub(r'\[(`_\w+`)\]\([^)]*\)', r'\1', ''.join(c['source'])) # private names have no place to link to
        text = re.sub(r'(\.html#\w+)\.\w+\)', r'\1)', text) # a method is told of where its class is
        c['source'] = text.replace(f']({HOST}', '](').replace('](../benchmarks/README.md)', '](benchmarks.qmd)') if c['cell_type']=='markdown' else text
        for o in c.get('outputs', []):
            if md := o.get('data', {}).get('text/markdown'):
                o['data']['text/markdown'] = re.sub(r'```.*?```', plain, ''.join(md), flags=re.S).replace(f']({HOST}', '](')
    return nb

def process():
    "Everything that is rendered, in `_proc/`"
    from nbdev.quarto import refresh_quarto_yml
    from nbdev.serve import proc_nbs
    shutil.rmtree(PROC, ignore_errors=True)
    refresh_quarto_yml()
    proc_nbs()
    for p in PROC.glob('*.ipynb'): p.write_text(json.dumps(tidy(json.loads(p.read_text(encoding='utf-8')))), encoding='utf-8')
    for src in ('benchmarks/figures','nbs/images'): shutil.copytree(ROOT/src, PROC/Path(src).name, dirs_exist_ok=True)
    shutil.copy(ROOT/'nbs'/'styles.css', PROC)
    pages = dict(api=api_page(),
        benchmarks=repository_page('benchmarks/README.md', 'Benchmarks', 'What was measured, against whom, and by which command'),
        changelog=repository_page('CHANGELOG.md', 'Changelog', 'What changed, by version'))
    for n,text in pages.items(): (PROC/f'{n}.qmd').write_text(text, encoding='utf-8')

# --------------------------------------------------------------------------------------------------- notebooks to Markdown
def front_matter(text):
    "The YAML on top of a page, and the rest"
    _,head,body = re.split(r'^---\s*$', text, maxsplit=2, flags=re.M)
    return yaml.safe_load(head),body.strip()+'\n'

def cell_text(c):
    "Quarto's instructions followed: what `show_doc` printed stands by itself, comments `#|` are gone"
    c = dict(c, metadata={})
    if c['cell_type']=='code' and '#| echo: false' in c['source']:
        md = [''.join(o['data']['text/markdown']) for o in c['outputs'] if 'text/markdown' in o.get('data', {})]
        c = dict(cell_type='markdown', metadata={}, source='\n\n'.join(md))
    elif c['cell_type']=='code': c['source'] = re.sub(r'^#\|.*\n?', '', c['source'], flags=re.M)
    return c

def to_markdown(path, html=True):
    "Front matter, Markdown and pictures by name of one page of `_proc/`; tables as HTML, or as they print"
    import nbformat
    from nbconvert import MarkdownExporter
    if path.suffix=='.qmd': return *front_matter(path.read_text(encoding='utf-8')),{}
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    meta,_ = front_matter(''.join(cells[0]['source']))
    cells = [cell_text(c) for c in cells[1:] if 'WARNING: THIS FILE WAS' not in c['source']]
    for c in cells:
        for o in c.get('outputs', []):
            if not html: o.get('data', {}).pop('text/html', None)
    nb = nbformat.reads(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(language_info=dict(name='python')), cells=[c|dict(id=f'c{i}') for i,c in enumerate(cells)])), as_version=4)
    text,res = MarkdownExporter().from_notebook_node(nb, dict(unique_key=Path(meta['output-file']).stem, output_files_dir='figures'))
    text = re.sub(r'<style scoped>.*?</style>', '', text, flags=re.S).replace('<table border="1" class="dataframe">', '<table>')
    return meta,re.sub(r'!\[(png|svg)\]', f'![A figure of: {meta["title"]}]', text),res['outputs']

def contents():
    "The sidebar of `_quarto.yml`: sections of (source file, title, description, page)"
    side = yaml.safe_load((ROOT/'_quarto.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']
    def entry(f):
        if f.endswith('.qmd'): meta = front_matter((PROC/f).read_text(encoding='utf-8'))[0]
        else: meta = front_matter(''.join(json.loads((PROC/f).read_text(encoding='utf-8'))['cells'][0]['source']))[0]
        return f,meta['title'],meta['description'],meta.get('output-file', Path(f).stem+'.html')
    return [(o['section'],[entry(f) for f in o['contents']]) if isinstance(o, dict) else ('',[entry(o)]) for o in side]

def linked(text, pages, suffix):
    "Links to notebooks and to files of `_proc/` as links to pages"
    names = {f:page.removesuffix('.html')+suffix for f,_,_,page in pages} | {page:page.removesuffix('.html')+suffix for *_,page in pages}
    return re.sub(r'\]\(([\w./-]+?\.(?:ipynb|qmd|html))((?:#[^)\s]*)?)\)', lambda m: f']({names.get(m[1], m[1])}{m[2]})', text)

def write_markdown(toc):
    "Each page as Markdown beside it, and `llms.txt`, which lists them: <https://llmstxt.org>"
    pages = [p for _,o in toc for p in o]
    for f,title,about,page in pages:
        _,text,_ = to_markdown(PROC/f, html=False)
        (DOCS/f'{page}.md').write_text(f'# {title}\n\n> {about}\n\n'+linked(text, pages, '.html.md'), encoding='utf-8')
    lines = [f"# {CFG['title']}", '', f"> {CFG['description']}", '']
    for section,entries in toc: lines += [f'## {section or "Start here"}', '', *(f'- [{t}]({HOST}{page}.md): {about}' for _,t,about,page in entries), '']
    (DOCS/'llms.txt').write_text('\n'.join(lines), encoding='utf-8')

# ------------------------------------------------------------------------------------------------------------- mkdocs
def slug(text, sep):
    "Names of headings as pandoc makes them, so that links fit both builds"
    return re.sub(r'^[^a-z]+', '', re.sub(r'[^\w\s.-]', '', re.sub(r'<[^>]+>', '', text)).strip().lower().replace(' ', '-'))

def with_formulas(html, **kwargs):
    "LaTeX as MathML, which browsers draw without any script"
    from html import unescape
    from latex2mathml.converter import convert
    return re.sub(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', lambda m: convert(unescape(m[2]).strip(), display='block' if m[1]=='div' else 'inline'), html, flags=re.S)

def by_mkdocs(toc):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    pages = [p for _,o in toc for p in o]
    for f,title,about,page in pages:
        meta,text,pictures = to_markdown(PROC/f)
        out = WORK/f'{Path(page).stem}.md'
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text('---\n'+yaml.safe_dump(dict(title=title, description=about))+f'---\n\n# {title}\n\n*{about}*\n\n'+linked(text, pages, '.md'), encoding='utf-8')
        for n,b in pictures.items(): (WORK/n).parent.mkdir(exist_ok=True); (WORK/n).write_bytes(b)
    for o in ('figures','images'): shutil.copytree(PROC/o, WORK/o, dirs_exist_ok=True)
    shutil.copy(ROOT/'nbs'/'styles.css', WORK)
    nav = [o for section,entries in toc for o in ([{section:[{t:f'{Path(p).stem}.md'} for _,t,_,p in entries]}] if section else [{t:f'{Path(p).stem}.md'} for _,t,_,p in entries])]
    config = load_config(str(ROOT/'tools'/'mkdocs.yml'), nav=nav, docs_dir=str(WORK), site_dir=str(DOCS), site_url=HOST, site_description=CFG['description'],
        copyright=CFG['copyright'], extra=dict(generator=False, social=[dict(icon='fontawesome/brands/github', link=CFG['git_url'], name='Source')]))
    config.mdx_configs['toc']['slugify'] = slug
    config.plugins.events['page_content'].append(with_formulas)
    build(config)

if __name__=='__main__':
    logging.basicConfig(format='%(message)s') # mkdocs says there which links are broken
    warnings.simplefilter('ignore')
    process()
    toc = contents()
    shutil.rmtree(DOCS, ignore_errors=True)
    if quarto := shutil.which('quarto'):
        subprocess.run([quarto, 'render', '--no-cache'], cwd=PROC, check=True)
        shutil.move(PROC/CFG['doc_path'], DOCS)
    else: by_mkdocs(toc)
    write_markdown(toc)
    print(f'{sum(len(o) for _,o in toc)} pages in {DOCS.relative_to(ROOT)}, by {"Quarto" if quarto else "mkdocs-material"}: open {DOCS.relative_to(ROOT)}/index.html')
