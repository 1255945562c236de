"Public names: none is lost, each is itself and no module, and asking for one loads no more than it needs"
import re
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import pytest

HELD = Path(__file__).with_name('public_names.txt').read_text()
NAMES = {module: names.split() for module, names in re.findall(r'^(\w+):\n((?:    .*\n)+)', HELD, flags=re.M)}
FAMILIES = ('data', 'simulate', 'crossmatch', 'preprocess', 'vae', 'train', 'anomaly', 'classify')
HEAVY = ('torch', 'pandas', 'astropy', 'matplotlib')


def python(code):
    "What a fresh Python that turns warnings into errors prints"
    command = [sys.executable, '-W', 'error', '-c', code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize('module', NAMES)
def test_no_name_is_lost(module):
    "Whoever takes away or renames a public name changes the list beside this file, and CHANGELOG.md says so"
    there = import_module(f'stellar_gen.{module}')
    assert len(NAMES[module]) >= 5
    lost = [n for n in NAMES[module] if not hasattr(there, n)]
    assert not lost, f'stellar_gen.{module} no longer has {lost}'


@pytest.mark.parametrize('family', FAMILIES)
def test_public_names_are_no_modules(family):
    "Also when all rooms are loaded: a room of a name's name would take its place"
    package = import_module(f'stellar_gen.{family}')
    assert len(set(package.__all__)) == len(package.__all__) > 5
    for name in package.__all__:
        getattr(package, name)
    from docs import rooms
    for room in rooms():
        import_module(f'stellar_gen.{room}')
    for name in package.__all__:
        assert not isinstance(getattr(package, name), types.ModuleType), f'{family}.{name}'


@pytest.mark.parametrize('family', FAMILIES)
def test_a_name_is_the_one_of_its_room(family):
    "A family hands on what its rooms define, and a name that two rooms have is one object"
    from docs import rooms
    package = import_module(f'stellar_gen.{family}')
    for room in rooms():
        if room.startswith(f'{family}.'):
            module = import_module(f'stellar_gen.{room}')
            for name in module.__all__:
                assert getattr(package, name) is getattr(module, name), f'{room}.{name}'


@pytest.mark.parametrize('family', FAMILIES)
def test_type_checkers_see_the_same_rooms(root, family):
    "What a family hands on is what it imports for type checkers, and all of its rooms are among it"
    text = (root / 'stellar_gen' / family / '__init__.py').read_text()
    handed_on = re.search(r'hand_on\(__name__, \[(.*?)\]', text, re.S)[1]
    rooms = re.findall(r"'([\w.]+)'", handed_on)
    seen = re.findall(r'^    from (\.+)(\w+) import \*$', text, re.M)
    assert rooms == [name if dots == '..' else f'{family}.{name}' for dots, name in seen]
    files = {f'{family}.{p.stem}' for p in (root / 'stellar_gen' / family).glob('[!_]*.py')}
    assert files <= set(rooms)


@pytest.mark.parametrize('family', FAMILIES)
def test_star_import(family):
    "`from stellar_gen.data import *` brings every public name"
    brought = {}
    exec(f'from stellar_gen.{family} import *', brought)
    assert set(import_module(f'stellar_gen.{family}').__all__) <= set(brought)


def test_names_are_shown_before_anything_is_loaded():
    "`dir` and completion list a family's names without torch, pandas, astropy or matplotlib"
    code = ('import sys; from importlib import import_module\n'
            f'for family in {FAMILIES}:\n'
            '    package = import_module(f"stellar_gen.{family}")\n'
            '    assert set(package.__all__) <= set(dir(package)), family\n'
            f'print(sorted(set({HEAVY}) & set(sys.modules)))')
    assert python(code) == '[]\n'


def test_import_is_light():
    "`import stellar_gen` and asking what is in it load nothing heavy; a module comes when it is asked for"
    heavy = f'sorted(set({HEAVY}) & set(sys.modules))'
    code = f'import sys, stellar_gen; print("train" in dir(stellar_gen), {heavy}); stellar_gen.data; print({heavy})'
    assert python(code) == 'True []\n[]\n'
    import stellar_gen
    with pytest.raises(AttributeError, match='its modules are data'):
        stellar_gen.dada
    with pytest.raises(AttributeError, match="'stellar_gen.data' has no attribute 'read_spektrum'"):
        stellar_gen.data.read_spektrum
    for name in dir(stellar_gen):
        assert getattr(stellar_gen, name)
