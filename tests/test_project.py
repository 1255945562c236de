"The repository is in step with itself"
import ast, configparser, io, json, pickle, re, shutil, subprocess, sys

import numpy as np
import pytest

def git_files(root): return subprocess.run(['git','ls-files','-co','--exclude-standard'], cwd=root, capture_output=True, text=True, check=True).stdout.split('\n')[:-1]

def test_export_and_clean_leave_no_diff(root, tmp_path):
    if not (root/'.git').exists(): pytest.skip('not a git checkout')
    copy = tmp_path/'copy'
    names = [f for f in git_files(root) if f.startswith(('nbs/','stellar_gen/')) and (root/f).is_file() and (f.endswith(('.ipynb','.py')))] + ['settings.ini']
    for f in names:
        (copy/f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root/f, copy/f)
    for tool in ('export','clean'):
        subprocess.run([sys.executable, '-c', f'from nbdev.export import nb_export; from nbdev import *; from nbdev.clean import nbdev_clean; nbdev_{tool}()'], cwd=copy, check=True)
    changed = [f for f in names if (copy/f).read_bytes()!=(root/f).read_bytes()]
    new = [str(p.relative_to(copy)) for d in ('nbs','stellar_gen') for p in (copy/d).rglob('*') if p.is_file() and '__pycache__' not in p.parts and str(p.relative_to(copy)) not in names]
    assert changed==[] and new==[], 'run nbdev_export and nbdev_clean, and commit what they change'

def test_readme_is_in_sync(root):
    subprocess.run([sys.executable, 'tools/readme.py', '--check'], cwd=root, check=True)

def test_notebooks_are_executed(root):
    "Stored outputs are whole: a cell that ends in a value has one, and none holds an error or a path of this machine"
    for p in (root/'nbs').glob('[!_.]*.ipynb'):
        cells = [c for c in json.loads(p.read_text())['cells'] if c['cell_type']=='code']
        text = json.dumps([c['outputs'] for c in cells])
        assert any(c['outputs'] for c in cells), f'{p.name} has no stored output: run make notebooks'
        assert '"error"' not in text and str(root) not in text and '/tmp/' not in text and 'Warning' not in text, p.name

def module_imports(node, room):
    "Modules of this package that the statements below `node` import, without the package's name"
    for n in ast.walk(node):
        if not isinstance(n, ast.ImportFrom): continue
        if n.level: yield '.'.join([*room.split('.')[:-n.level], *([n.module] if n.module else [])])
        elif n.module.startswith('stellar_gen.'): yield n.module.removeprefix('stellar_gen.')

def one_line_methods(tree):
    "Methods that only hand on to a function: a docstring, an import and a return"
    for c in ast.walk(tree):
        if isinstance(c, ast.ClassDef): yield from (f for f in c.body if isinstance(f, ast.FunctionDef) and isinstance(f.body[-1], ast.Return) and len(f.body)<=3)

def test_rooms_import_only_those_above(root):
    "In reading order, and never from a family as a whole; a method that hands on to a later lesson and a type may look ahead"
    from docs import rooms
    order = list(rooms())
    there = {'.'.join(p.relative_to(root/'stellar_gen').with_suffix('').parts) for p in (root/'stellar_gen').rglob('[!_]*.py')}
    assert there==set(order)
    for i,room in enumerate(order):
        tree = ast.parse((root/'stellar_gen'/f'{room.replace(".", "/")}.py').read_text())
        ahead = {id(n) for f in one_line_methods(tree) for n in ast.walk(f)}
        ahead |= {id(n) for o in ast.walk(tree) if isinstance(o, ast.If) and getattr(o.test, 'id', '')=='TYPE_CHECKING' for n in ast.walk(o)}
        class Rest(ast.NodeTransformer):
            def visit(self, n): return None if id(n) in ahead and isinstance(n, ast.ImportFrom) else self.generic_visit(n)
        used = set(module_imports(Rest().visit(tree), room))-{'','_palette'} # the palette is no room
        allowed = set(order[:i])|({'crossmatch.big'} if room=='crossmatch.match' else set()) # which calls `crossmatch` in turn
        if room!='cli': assert used<=allowed, f'{room} imports {used-allowed}'

def test_nothing_imports_vision(root):
    code = 'import sys, stellar_gen.cli, stellar_gen.report; print([m for m in sys.modules if m.split(".")[0]=="torchvision" or m.startswith("fastai.vision")])'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'

def test_help_does_not_load_torch():
    code = 'import sys, stellar_gen.cli; print("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='False'

def test_types(root):
    "The library and a user's script are as their types say"
    r = subprocess.run([sys.executable, '-m', 'mypy'], cwd=root, capture_output=True, text=True)
    assert r.returncode==0, r.stdout[-3000:]

def test_style_is_found_and_safe_for_the_colour_blind():
    "The style has the colours of Okabe & Ito; seen with red or green blindness (Viénot et al. 1999) no two of them coincide"
    import matplotlib, matplotlib.pyplot as plt
    from matplotlib.colors import to_rgb
    with plt.style.context('stellar_gen.stellar_gen'): colors = matplotlib.rcParams['axes.prop_cycle'].by_key()['color']
    linear = np.array([to_rgb(c) for c in colors])**2.2
    for blind in ([[.11238,.88762,0],[.11238,.88762,0],[.00401,-.00401,1]], [[.29275,.70725,0],[.29275,.70725,0],[-.02234,.02234,1]]):
        seen = (linear@np.array(blind).T).clip(0, 1)**(1/2.2)
        apart = np.linalg.norm(seen[:,None]-seen[None], axis=2)[np.triu_indices(len(seen), 1)]
        assert apart.min()>.1

def test_figures_of_the_benchmarks_are_in_sync(root): subprocess.run([sys.executable, 'benchmarks/plots.py', '--check'], cwd=root, check=True)

def test_results_of_the_readme_were_measured(root):
    "Each number of its table is one of benchmarks/README.md, rounded"
    def numbers(text): return [o.replace(',', '') for o in re.findall(r'(?<![\w.,])\d[\d,]*(?:\.\d+)?', text)]
    measured = [float(o) for o in numbers((root/'benchmarks'/'README.md').read_text())]
    table = (root/'README.md').read_text().split('## How good is it')[1].split('##')[0]
    cells = [c for l in table.splitlines() if l.startswith('| ') for c in l.split('|')[2:4]]
    stray = [o for c in cells for o in numbers(c) if not any(abs(m-float(o))<=(50 if o.endswith('00') else .5*10**-len(o.partition('.')[2]))*1.0001 for m in measured)]
    assert len(cells)>15 and not stray

def test_citation_names_this_version(root):
    from stellar_gen import __version__
    assert f'version: {__version__}\n' in (root/'CITATION.cff').read_text() and f'version = {{{__version__}}}' in (root/'nbs'/'citation.qmd').read_text()

def test_every_notebook_opens_and_ends_alike(root):
    "A title, a line, what enters, leaves and is learned; at the end where to go next"
    for p in (root/'nbs').glob('[0-9]*.ipynb'):
        md = [''.join(c['source']) for c in json.loads(p.read_text())['cells'] if c['cell_type']=='markdown']
        assert re.fullmatch(r'# .+\n\n> .+', md[0]), p.name # anything more in this cell would be missing on the site
        assert '**In:**' in md[1] and '**Out:**' in md[1] and 'You will learn' in md[1], p.name
        assert '## Where to go next' in md[-1], p.name

def test_figures_have_labels_and_one_style(root):
    "A cell that draws names both axes, or leaves drawing to the library; each notebook with a figure uses the style"
    for p in (root/'nbs').glob('[!_.]*.ipynb'):
        cells = [c for c in json.loads(p.read_text())['cells'] if c['cell_type']=='code']
        drawn = [''.join(c['source']) for c in cells if any('image/png' in o.get('data', {}) for o in c['outputs'])]
        for s in drawn:
            if re.search(r'(plt|axs?|a)\.(plot|scatter|hist|loglog)\(', s): assert ('xlabel' in s or 'rotation' in s) and 'ylabel' in s, f'{p.name}: {s[:80]}'
        if drawn and p.stem!='index': assert any('stellar_gen.stellar_gen' in ''.join(c['source']) for c in cells), p.name

def test_versions_agree(root):
    from stellar_gen import __version__
    ini = configparser.ConfigParser(delimiters=['='])
    ini.read(root/'settings.ini')
    assert ini['DEFAULT']['version']==__version__
    assert re.search(rf'^## {re.escape(__version__)}\b', (root/'CHANGELOG.md').read_text(), re.M)

def test_one_quarto_config(root): assert (root/'nbs'/'_quarto.yml').resolve()==(root/'_quarto.yml').resolve()

def test_grid_pickles_cannot_run_code():
    from build_grid import ArrayUnpickler
    a = np.arange(6.).reshape(2,3)
    old = pickle.dumps(a, protocol=3).replace(b'numpy._core', b'numpy.core')
    assert np.array_equal(ArrayUnpickler(io.BytesIO(old)).load(), a)
    class Evil:
        def __reduce__(self): return (eval, ('1+1',))
    with pytest.raises(pickle.UnpicklingError, match='refused builtins.eval'): ArrayUnpickler(io.BytesIO(pickle.dumps(Evil()))).load()

def test_robust_shifts_seeds_and_names_the_line(root, tmp_path):
    "Other seeds reach every place that has one and nothing else; a check that does not survive them is shown"
    from robust import shifted
    source = "µ = default_rng([3, k]); simulate(3, seed=5, **dict(seed=70+k))\ndef f(n=1, seed=2): torch.manual_seed(n*7)"
    assert shifted(source, 100) == "µ = default_rng([103, k]); simulate(3, seed=105, **dict(seed=170+k))\ndef f(n=1, seed=102): torch.manual_seed(n*7)"
    cell = dict(cell_type='code', id='a', metadata={}, execution_count=None, outputs=[], source='seed = 0\ndef small(x):\n    assert x < 1000, "too large"\nsmall(seed)')
    (tmp_path/'notebook.ipynb').write_text(json.dumps(dict(cells=[cell], metadata={}, nbformat=4, nbformat_minor=5)))
    r = subprocess.run([sys.executable, 'tools/robust.py', '--threads', '1', '--seed-offset', '0,1000', tmp_path/'notebook.ipynb'], cwd=root, capture_output=True, text=True)
    assert r.returncode==1 and 'notebook, 1 threads, seeds +1000: cell 0: assert x < 1000, "too large"' in r.stdout and 'seeds +0' not in r.stdout, r.stdout

def test_readme_lists_every_lesson(root):
    "In reading order"
    listed = re.findall(r'^\| \[\w+\]\(nbs/(\d\w+\.ipynb)\)', (root/'README.md').read_text(), re.M)
    assert listed==sorted(p.name for p in (root/'nbs').glob('[0-9]*.ipynb'))
