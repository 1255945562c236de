"""Learn what normal stars look like from APOGEE spectra, and find the ones that do not fit

Modules are imported when they are first asked for: `import stellar_gen` takes no time, `stellar_gen.train` loads torch.
"""
__version__ = "0.1.0"

_MODULES = (
    'data', 'instrument', 'archive', 'lookup', 'simulate', 'crossmatch', 'preprocess', 'vae', 'train', 'model', 'hub',
    'exported', 'estimator', 'anomaly', 'classify', 'generate', 'measure', 'packed', 'views', 'report', 'page',
    'explore', 'server', 'cells', 'cli',
)


def __dir__() -> list[str]:
    return [*_MODULES, '__version__']


def __getattr__(name: str):  # PEP 562
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}; its modules are {", ".join(_MODULES)}')
    from importlib import import_module
    return import_module(f'{__name__}.{name}')
