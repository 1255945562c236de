"Run notebooks and store their outputs: all of `nbs/`, or those named on the command line; `--slow` runs the slow cells too, which otherwise keep what they printed"
import os, sys, time
from pathlib import Path

os.environ['NO_COLOR'] = '1'
os.environ.setdefault('MPLBACKEND', 'agg')
from execnb.nbio import read_nb, write_nb
from execnb.shell import CaptureShell

def _slow(c): return '#| slow' in c.source

def execute(path, slow=False):
    "Run one notebook in its folder, as a reader would, and write it back with its outputs"
    nb,start = read_nb(path),time.time()
    shell = CaptureShell(path, mpl_format='png')
    for c in nb.cells:
        if c.cell_type=='code' and (slow or not _slow(c)): c.outputs = [] # a cell that prints nothing now keeps nothing of before
    os.chdir(path.parent)
    shell.run_all(nb, exc_stop=True, preproc=lambda c: c.cell_type!='code' or 'nbdev_export'+'(' in c.source or _slow(c) and not slow)
    for c in nb.cells:
        for o in c.get('outputs') or []: o.get('data', {}).pop('text/html', None) if 'image/png' in o.get('data', {}) else None
    write_nb(nb, path)
    print(f'{path.name}: {time.time()-start:.0f} s')

if __name__=='__main__':
    root = Path(__file__).parent.parent.resolve()
    sys.path.insert(0, str(root))
    names,slow = [a for a in sys.argv[1:] if a!='--slow'],'--slow' in sys.argv
    for p in [Path(p).resolve() for p in names] or sorted((root/'nbs').glob('[!_.]*.ipynb')): execute(p, slow)
