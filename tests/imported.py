"What most notebooks import, loaded once for all of them: their processes are copies of one that has done nothing else"
import gc
from importlib import import_module

for name in (
    'nbdev.test', 'bokeh.plotting', 'captum.attr', 'distributed', 'fastai.callback.all', 'hypothesis', 'matplotlib.pyplot',
    'scipy.stats', 'seaborn', 'sklearn.ensemble', 'sklearn.linear_model', 'sklearn.mixture', 'specutils', 'torch._dynamo',
    'zarr', 'zuko', 'stellar_gen.anomaly.adaptation', 'stellar_gen.cli', 'stellar_gen.explore',
):
    import_module(name)
gc.freeze()  # none of it is garbage, and looking for garbage there would copy it
