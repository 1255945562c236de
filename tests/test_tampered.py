"Model folders whose tensors and keys were dropped, shortened, set to zero or renamed: one line for each, and no memory taken"
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from json_trees import with_change
from test_fuzz import bounded

PARTS = 'model', 'reference', 'labeller', 'prior'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "The packaged model, saved anew"
    from stellar_gen.model import load_model, save_model
    return save_model(load_model('apogee-16'), tmp_path_factory.mktemp('model') / 'm', half=True)


@pytest.fixture
def copy(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / 'm'))


def refused(copy):
    "The line with which a folder is refused"
    from stellar_gen.model import load_model
    with pytest.raises(ValueError) as error:
        load_model(copy)
    said = str(error.value)
    assert said.startswith(f'{copy}: unusable model: ') and said.isprintable() and len(said) < len(str(copy)) + 350
    return said


def read(path):
    "Arrays of a file, and the names in its header"
    from safetensors import safe_open
    with safe_open(path, 'np') as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def write(path, arrays, metadata):
    from safetensors.numpy import save_file
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata=metadata)


def changed(arrays, name):
    "The arrays with one of them dropped, shortened, set to zero, renamed"
    others = {key: array for key, array in arrays.items() if key != name}
    array = arrays[name]
    yield 'dropped', others
    if array.size and array.ndim:
        yield 'shortened', arrays | {name: array[:-1]}
    if array.any():
        yield 'zeroed', arrays | {name: array * 0}
    yield 'renamed', others | {f'{name}_': array}


def sealed_anew(copy, sealed):
    "The configuration with digests that fit the files again, or without any"
    from stellar_gen.model import _digests, _sealed
    config = json.loads((copy / 'config.json').read_text())
    bare = {key: value for key, value in config.items() if key not in ('files', 'digest')}
    return _sealed(bare, _digests(copy)) if sealed else bare


@pytest.mark.parametrize('part', PARTS)
def test_every_tensor(part, copy):
    "Each is told by the digest of its file"
    file = copy / f'{part}.safetensors'
    arrays, metadata = read(file)
    before = file.read_bytes()
    tried = 0
    for name in arrays:
        for how, others in changed(arrays, name):
            write(file, others, metadata)
            assert f'its {file.name} is changed' in refused(copy), f'{name} {how}'
            tried += 1
    file.write_bytes(before)
    file.unlink()
    assert ('no model.safetensors' if part == 'model' else f'its {file.name} is missing') in str(refuse_any(copy))
    print(f'{part}: {tried} folders')


def refuse_any(copy):
    "The error of a folder, also of one that is no model any more"
    from stellar_gen.model import load_model
    with pytest.raises(ValueError) as error:
        load_model(copy)
    return error.value


@pytest.mark.parametrize('sealed', (False, True), ids=('without digests', 'with digests that fit'))
@pytest.mark.parametrize('part', ('model', 'reference'))
def test_tensors_that_do_not_belong_together(part, sealed, copy):
    "What judges stars is checked by names and shapes too, whoever has made the digests"
    file = copy / f'{part}.safetensors'
    arrays, metadata = read(file)
    for name in arrays:
        for how, others in changed(arrays, name):
            if how == 'zeroed' or (part == 'reference' and how == 'renamed'):
                continue
            write(file, others, metadata)
            (copy / 'config.json').write_text(json.dumps(sealed_anew(copy, sealed)))
            refused(copy)


def keys(config, path=()):
    "Every key of a configuration, as a path"
    for key, value in config.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from keys(value, (*path, key))


CHANGES = dict(
    dropped=lambda within, key: within.pop(key),
    zeroed=lambda within, key: within.update({key: 1 if within[key] == 0 else 0}),
    emptied=lambda within, key: within.update({key: 'x' if within[key] is None else None}),
    renamed=lambda within, key: within.update({f'{key}_': within.pop(key)}),
    enlarged=lambda within, key: within.update({key: 10**9}),
)


def test_every_key(copy):
    "Each is told by the digest of the configuration"
    note = copy / 'config.json'
    config = json.loads(note.read_text())
    tried = 0
    for path in keys(config):
        for change in CHANGES.values():
            note.write_text(json.dumps(with_change(config, path, change)))
            refused(copy)
            tried += 1
    print(f'{tried} configurations')


@pytest.mark.parametrize('sealed', (False, True), ids=('without digests', 'with digests that fit'))
def test_every_key_that_is_used(sealed, copy):
    "With digests that fit, or without: a model or one line, and no memory for what is not there"
    from stellar_gen.model import _sealed, load_model
    note = copy / 'config.json'
    config = sealed_anew(copy, False)
    files = sealed_anew(copy, True)['files']
    whole = load_model(copy)
    loaded = 0
    for path in keys(config):
        if path[0] in ('info', 'versions') and len(path) > 1:
            continue  # notes of the training
        for change in CHANGES.values():
            new = with_change(config, path, change)
            note.write_text(json.dumps(_sealed(new, files) if sealed else new))
            try:
                with bounded():
                    model = load_model(copy)
                loaded += 1
                note_only = path[0] in ('info', 'versions', 'arch')
                an_option = path[0] == 'recipe' or path[-1] in ('refine', 'sample', 'scatter', 'pixel_kms')
                by_default = (model.net.config, model.recipe) == (whole.net.config, whole.recipe)
                assert note_only or an_option or by_default, path
            except ValueError as error:
                assert str(error).startswith(f'{copy}: unusable model: ') and str(error).isprintable()
    assert loaded


def test_a_file_more(copy):
    "A file of arrays that the model was not saved with"
    shutil.copy(copy / 'prior.safetensors', copy / 'more.safetensors')
    assert 'its more.safetensors is of another model' in refused(copy)


def test_packaged_models_have_digests():
    "Save them anew if they have none: their parts would be believed"
    from importlib.resources import files

    from stellar_gen.model import packaged_models
    for name in packaged_models():
        config = json.loads((files('stellar_gen') / 'assets' / name / 'config.json').read_text())
        assert {'files', 'digest'} <= set(config), f'{name}: save_model writes digests'
