"The repository is in step with itself"
import ast
import configparser
import datetime
import io
import json
import pickle
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

# Viénot et al. (1999): linear RGB as it is seen without the receptors for red, and without those for green.
RED_BLIND = [[.11238, .88762, 0], [.11238, .88762, 0], [.00401, -.00401, 1]]
GREEN_BLIND = [[.29275, .70725, 0], [.29275, .70725, 0], [-.02234, .02234, 1]]


def notebooks(root, pattern='[!_.]*.ipynb'):
    "Each notebook's path and cells"
    for p in sorted((root / 'nbs').glob(pattern)):
        yield p, json.loads(p.read_text())['cells']


def holds(module, name):
    "Whether a module has a name, or a package a module of that name that need not have been loaded"
    if hasattr(module, name):
        return True
    return hasattr(module, '__path__') and find_spec(f'{module.__name__}.{name}') is not None


def source(cell):
    return ''.join(cell['source'])


def code_cells(cells):
    return [c for c in cells if c['cell_type'] == 'code']


def prints(*args, cwd=None):
    "What a Python with these arguments prints"
    return subprocess.run([sys.executable, *args], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


# ------------------------------------------------------------------------------------- notebooks and their modules
def git_files(root):
    "Files that git knows or would add"
    command = ['git', 'ls-files', '-co', '--exclude-standard']
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()


def test_export_and_clean_leave_no_diff(root, tmp_path):
    if not (root / '.git').exists():
        pytest.skip('not a git checkout')
    copy = tmp_path / 'copy'
    kept = [f for f in git_files(root) if f.startswith(('nbs/', 'stellar_gen/')) and f.endswith(('.ipynb', '.py'))]
    names = [f for f in kept if (root / f).is_file()] + ['settings.ini']
    for f in names:
        (copy / f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / f, copy / f)
    load = 'from nbdev.export import nb_export; from nbdev import *; from nbdev.clean import nbdev_clean'
    for tool in ('export', 'clean'):
        prints('-c', f'{load}; nbdev_{tool}()', cwd=copy)
    changed = [f for f in names if (copy / f).read_bytes() != (root / f).read_bytes()]
    made = [p for d in ('nbs', 'stellar_gen') for p in (copy / d).rglob('*') if p.is_file()]
    new = {str(p.relative_to(copy)) for p in made if '__pycache__' not in p.parts} - set(names)
    assert changed == [] and new == set(), 'run nbdev_export and nbdev_clean, and commit what they change'


def test_notebooks_are_executed(root):
    "Outputs are stored, and none holds an error, a warning or a path of this machine"
    for p, cells in notebooks(root):
        outputs = [c['outputs'] for c in code_cells(cells)]
        assert any(outputs), f'{p.name} has no stored output: run make notebooks'
        text = json.dumps(outputs)
        for word in ('"error"', str(root), '/tmp/', 'Warning'):
            assert word not in text, f'{p.name} has {word} in an output'


def test_every_notebook_opens_and_ends_alike(root):
    "A title, a line, what enters, leaves and is learned; at the end where to go next"
    for p, cells in notebooks(root, '[0-9]*.ipynb'):
        text = [source(c) for c in cells if c['cell_type'] == 'markdown' and c['id'] != 'badges']
        assert re.fullmatch(r'# .+\n\n> .+', text[0]), p.name  # anything more in this cell would be missing on the site
        for part in ('**In:**', '**Out:**', 'You will learn'):
            assert part in text[1], f'{p.name} does not say {part}'
        assert '## Where to go next' in text[-1], p.name


def test_every_notebook_can_be_run_elsewhere(root):
    "In Colab, on Binder and after an installation, without the tools of developers"
    prints('tools/badges.py', '--check', cwd=root)
    for p, cells in notebooks(root):
        code = '\n'.join(source(c) for c in code_cells(cells))
        tools = re.findall(r'^ *(?:from|import) (nbdev|execnb|hypothesis|pytest)\b', code, re.M)
        assert not tools, f'{p.name} imports {tools}, which the extra `notebooks` does not bring'


def test_figures_have_labels_and_one_style(root):
    "A cell that draws names both axes, or leaves drawing to the library; each notebook with a figure uses the style"
    for p, cells in notebooks(root):
        cells = code_cells(cells)
        drawn = [source(c) for c in cells if any('image/png' in o.get('data', {}) for o in c['outputs'])]
        for s in drawn:
            if re.search(r'(plt|axs?|a)\.(plot|scatter|hist|loglog)\(', s):
                assert ('xlabel' in s or 'rotation' in s) and 'ylabel' in s, f'{p.name}: {s[:80]}'
        if drawn and p.stem != 'index':
            assert any('stellar_gen.stellar_gen' in source(c) for c in cells), p.name


# ------------------------------------------------------------------------------------------------ what imports what
def module_imports(node, room):
    "Modules of this package that the statements below `node` import, without the package's name"
    for n in ast.walk(node):
        if not isinstance(n, ast.ImportFrom):
            continue
        if n.level:
            yield '.'.join([*room.split('.')[:-n.level], *([n.module] if n.module else [])])
        elif n.module.startswith('stellar_gen.'):
            yield n.module.removeprefix('stellar_gen.')


def hands_on(function):
    "Whether this is a docstring, imports and a return: a method that calls a function of a later lesson"
    return isinstance(function, ast.FunctionDef) and isinstance(function.body[-1], ast.Return) and len(function.body) <= 3


def for_types(node):
    return isinstance(node, ast.If) and getattr(node.test, 'id', '') == 'TYPE_CHECKING'


class WithoutAhead(ast.NodeTransformer):
    "Takes out the imports that may look ahead: those for types, and those of methods that hand on"
    def visit_If(self, node):
        return None if for_types(node) else self.generic_visit(node)

    def visit_ClassDef(self, node):
        node.body = [n for n in node.body if not hands_on(n)] or [ast.Pass()]
        return self.generic_visit(node)


def test_rooms_import_only_those_above(root):
    "In reading order, and never from a family as a whole"
    from docs import rooms
    order = list(rooms())
    package = root / 'stellar_gen'
    there = {'.'.join(p.relative_to(package).with_suffix('').parts) for p in package.rglob('[!_]*.py')}
    assert there == set(order)
    for i, room in enumerate(order[:-1]):  # the last is the command, which may import what it likes
        tree = ast.parse((package / f'{room.replace(".", "/")}.py').read_text())
        used = set(module_imports(WithoutAhead().visit(tree), room)) - {'', '_palette'}  # the palette is no room
        allowed = set(order[:i])
        if room == 'crossmatch.match':
            allowed.add('crossmatch.big')  # which calls `crossmatch` in turn
        assert used <= allowed, f'{room} imports {used - allowed}'


@pytest.mark.parametrize('folder', ['tools', 'benchmarks', 'tests'])
def test_scripts_find_what_they_import(root, folder):
    "Whoever moves or renames a name finds the scripts that use it"
    lost = []
    for p in sorted((root / folder).glob('*.py')):
        for n in ast.walk(ast.parse(p.read_text())):
            if isinstance(n, ast.ImportFrom) and (n.module or '').startswith('stellar_gen'):
                module = import_module(n.module)
                lost += [f'{p.name}: {n.module}.{o.name}' for o in n.names if not holds(module, o.name)]
    assert not lost


def test_nothing_is_imported_in_vain():
    code = ('import sys, stellar_gen.cli, stellar_gen.model, stellar_gen.report\n'
            'stellar_gen.model.load_model("apogee-16")\n'
            'print(*sys.modules)')
    loaded = prints('-c', code).split()
    assert not [m for m in loaded if m.split('.')[0] == 'torchvision' or m.startswith('fastai.vision')]
    assert 'torch._dynamo' not in loaded  # which takes a second, and nothing of it is needed to read a model and use it


def test_help_does_not_load_torch():
    assert prints('-c', 'import sys, stellar_gen.cli; print("torch" in sys.modules)') == 'False'


def test_types(root):
    "The library and a user's script are as their types say"
    r = subprocess.run([sys.executable, '-m', 'mypy'], cwd=root, capture_output=True, text=True)
    assert r.returncode == 0, r.stdout[-3000:]


# -------------------------------------------------------------------------------------------------- README and other texts
def test_readme_is_in_sync(root):
    prints('tools/readme.py', '--check', cwd=root)


def test_readme_lists_every_lesson(root):
    "In reading order"
    listed = re.findall(r'^\| \[\w+\]\(nbs/(\d\w+\.ipynb)\)', (root / 'README.md').read_text(), re.M)
    assert listed == [p.name for p, _ in notebooks(root, '[0-9]*.ipynb')]


def numbers(text):
    "Numbers in a text, without the commas between thousands"
    return [o.replace(',', '') for o in re.findall(r'(?<![\w.,])\d[\d,]*(?:\.\d+)?', text)]


def rounds_to(
    exact,  # A number
    text,   # A number as it is written
):
    "Whether a number, rounded to as many decimals as the text has (or to hundreds), is that of the text"
    step = 100 if text.endswith('00') else 10.**-len(text.partition('.')[2])
    return abs(exact - float(text)) <= step / 2 * 1.0001


def test_results_of_the_readme_were_measured(root):
    "Each number of its table is one of benchmarks/README.md, rounded"
    measured = [float(o) for o in numbers((root / 'benchmarks' / 'README.md').read_text())]
    table = (root / 'README.md').read_text().split('## How good is it')[1].split('##')[0]
    entries = [c for line in table.splitlines() if line.startswith('| ') for c in line.split('|')[2:4]]
    assert len(entries) > 15
    assert not [o for c in entries for o in numbers(c) if not any(rounds_to(m, o) for m in measured)]


def test_figures_of_the_benchmarks_are_in_sync(root):
    prints('benchmarks/plots.py', '--check', cwd=root)


def settings_of(root):
    "What settings.ini says of the package"
    ini = configparser.ConfigParser(delimiters=['='])
    ini.read(root / 'settings.ini')
    return ini['DEFAULT']


@pytest.fixture
def stated(root):
    "What each file of metadata says, by its name"
    import yaml
    return dict(cff=yaml.safe_load((root / 'CITATION.cff').read_text()),
                zenodo=json.loads((root / '.zenodo.json').read_text()),
                codemeta=json.loads((root / 'codemeta.json').read_text()),
                recipe=yaml.safe_load((root / 'conda' / 'recipe.yaml').read_text()))


def test_version_and_date_agree(root, stated):
    "In every place that tools/release.py writes to, as each format's own reader sees it"
    from release import disagreements
    from stellar_gen import __version__
    assert disagreements(root, __version__) == []
    versions = [settings_of(root)['version'], *(stated[name]['version'] for name in ('cff', 'zenodo', 'codemeta')),
                stated['recipe']['context']['version']]
    assert set(versions) == {__version__}
    dates = [str(stated['cff']['date-released']), stated['zenodo']['publication_date'],
             stated['codemeta']['datePublished'], stated['codemeta']['dateModified']]
    assert len(set(dates)) == 1 and datetime.date.fromisoformat(dates[0])


def test_authors_licence_and_words_agree(root, stated):
    "Who made it, what it is, under which licence and where, as settings.ini says"
    says = settings_of(root)
    cff, zenodo, codemeta = (stated[name] for name in ('cff', 'zenodo', 'codemeta'))
    about = stated['recipe']['about']
    made_by = [files[0]['name'] for files in (cff['authors'], zenodo['creators'], codemeta['author'])]
    assert set(made_by) == {says['author']}
    assert codemeta['author'][0]['email'] == says['author_email']
    assert says['license'] == 'apache2' and 'Apache License' in (root / 'LICENSE').read_text()[:200]
    licences = {cff['license'], zenodo['license'], about['license'], codemeta['license'].rpartition('/')[2]}
    assert licences == {'Apache-2.0'} and "license='Apache-2.0'" in (root / 'setup.py').read_text()
    assert cff['keywords'] == zenodo['keywords'] == codemeta['keywords'] == says['keywords'].split()
    assert {codemeta['description'], about['summary']} == {says['description']}
    assert {codemeta['codeRepository'], cff['repository-code'], about['repository']} == {says['git_url']}
    site = says['doc_host'] + says['doc_baseurl'] + '/'
    assert {codemeta['softwareHelp'], cff['url'], about['homepage']} == {site}
    assert codemeta['programmingLanguage'][0]['version'] == '>=' + says['min_python']
    assert stated['recipe']['context']['python_min'] == says['min_python']


def test_recipe_asks_for_what_pip_asks_for(root, stated):
    "Under the names that conda-forge has for it"
    there = {'torch': 'pytorch', 'matplotlib': 'matplotlib-base', 'dask[array]': 'dask-core'}
    asked = re.findall(r'(\S+?)([<>=]\S*)', settings_of(root)['requirements'])
    wanted = [f'{there.get(name, name)} {versions}' for name, versions in asked]
    assert stated['recipe']['requirements']['run'][1:] == wanted


def test_release_is_written_everywhere(root, tmp_path):
    "Version and date reach every place, and a tag of another version is refused"
    import release
    for name in {*release.VERSIONS, *release.DATES}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / 'CHANGELOG.md').write_text(f'# Changelog\n\n{release.NEXT}\n\n- What is new\n\n## 0.0.1\n\n- All\n')
    release.prepare(tmp_path, '7.8.9', '2031-02-03')
    assert release.disagreements(tmp_path, '7.8.9') == []
    assert release.notes(tmp_path, '7.8.9') == '- What is new'
    assert set(sum(release.stated(tmp_path, release.DATES).values(), [])) == {'2031-02-03'}
    assert len(release.disagreements(tmp_path, '7.9.0')) == len(release.VERSIONS) + 1


def test_figures_of_the_paper_were_measured(root):
    "Each of its results stands in the benchmarks or in the README; each work cited is in its bibliography, and cited"
    paper = (root / 'paper' / 'paper.md').read_text()
    measured = (root / 'benchmarks' / 'README.md').read_text() + (root / 'README.md').read_text()
    results = paper.split('# What was measured')[1].split('\n# ')[0]
    known = [float(o) for o in numbers(measured)]
    assert len(numbers(results)) > 15
    assert not [o for o in numbers(results) if not any(rounds_to(m, o) for m in known)]
    cited = set(re.findall(r'@(\w+)', paper.split('---')[2]))
    assert cited == set(re.findall(r'^@\w+\{(\w+),', (root / 'paper' / 'paper.bib').read_text(), re.M))


def test_tools_and_tests_have_no_loose_ends(root):
    r = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--quiet'], cwd=root, capture_output=True, text=True)
    assert r.returncode == 0, r.stdout[-3000:]


def test_one_quarto_config(root):
    assert (root / 'nbs' / '_quarto.yml').resolve() == (root / '_quarto.yml').resolve()


# ---------------------------------------------------------------------------------------------------------- the rest
def test_style_is_found_and_safe_for_the_colour_blind():
    "The style has the colours of Okabe & Ito; seen with red or green blindness no two of them coincide"
    import matplotlib
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgb
    with plt.style.context('stellar_gen.stellar_gen'):
        colors = matplotlib.rcParams['axes.prop_cycle'].by_key()['color']
    linear = np.array([to_rgb(c) for c in colors])**2.2
    for blind in (RED_BLIND, GREEN_BLIND):
        seen = (linear @ np.array(blind).T).clip(0, 1)**(1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)[np.triu_indices(len(seen), 1)]
        assert apart.min() > .1


def test_grid_pickles_cannot_run_code():
    from build_grid import ArrayUnpickler
    a = np.arange(6.).reshape(2, 3)
    old = pickle.dumps(a, protocol=3).replace(b'numpy._core', b'numpy.core')
    assert np.array_equal(ArrayUnpickler(io.BytesIO(old)).load(), a)

    class Evil:
        def __reduce__(self):
            return eval, ('1+1',)

    with pytest.raises(pickle.UnpicklingError, match='refused builtins.eval'):
        ArrayUnpickler(io.BytesIO(pickle.dumps(Evil()))).load()


def test_robust_shifts_seeds_and_names_the_line(root, tmp_path):
    "Other seeds reach every place that has one and nothing else; a check that does not survive them is shown"
    from robust import shifted
    call = 'µ = default_rng([{}, k]); simulate(3, seed={}, **dict(seed=70+k))'
    define = 'def f(n=1, seed={}): torch.manual_seed(n*7)'
    assert shifted(call.format(3, 5), 100) == call.format(103, 105).replace('70', '170')
    assert shifted(define.format(2), 100) == define.format(102)
    text = 'seed = 0\ndef small(x):\n    assert x < 1000, "too large"\nsmall(seed)'
    cell = dict(cell_type='code', id='a', metadata={}, execution_count=None, outputs=[], source=text)
    path = tmp_path / 'notebook.ipynb'
    path.write_text(json.dumps(dict(cells=[cell], metadata={}, nbformat=4, nbformat_minor=5)))
    command = [sys.executable, 'tools/robust.py', '--threads', '1', '--seed-offset', '0,1000', path]
    r = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert r.returncode == 1 and 'seeds +0' not in r.stdout
    assert 'notebook, 1 threads, seeds +1000: cell 0: assert x < 1000, "too large"' in r.stdout


def test_lessons_form_one_path(root):
    "\"Where to go next\" of each lesson leads to the next one in the listing"
    lessons = sorted((root/'nbs').glob('[0-9]*.ipynb'))
    for lesson, following in zip(lessons, lessons[1:]):
        cells = json.loads(lesson.read_text())['cells']
        last = [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'markdown'][-1]
        assert f']({following.name})' in last, f'{lesson.name} does not lead to {following.name}'


def test_exported_lines_fit_the_page(root):
    "No line that is exported runs off the site's page"
    for lesson in sorted((root/'nbs').glob('[0-9]*.ipynb')):
        cells = json.loads(lesson.read_text())['cells']
        exported = [''.join(cell['source']) for cell in cells if re.match(r'#\s*\|\s*export', ''.join(cell['source']))]
        long = [line for code in exported for line in code.splitlines() if len(line) > 120]
        assert not long, f'{lesson.name}: {long[0]}'
