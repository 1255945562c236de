"""Run notebooks and store their outputs: all of `nbs/`, or those named

`--slow` runs the slow cells too, which otherwise keep what they printed.
"""
import os
import sys
import time
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

os.environ['NO_COLOR'] = '1'
os.environ.setdefault('MPLBACKEND', 'agg')
from execnb.nbio import read_nb, write_nb  # noqa: E402
from execnb.shell import CaptureShell  # noqa: E402
from PIL import Image  # noqa: E402

ROOT = Path(__file__).parent.parent.resolve()
COLOURS = 128  # in a stored figure: enough for lines, marks and maps


def smaller(png):
    "A figure (base64) with few colours: a third of the bytes; a colour of a few pixels, such as in a legend, is kept"
    figure = Image.open(BytesIO(b64decode(png))).convert('RGB')
    out = BytesIO()
    figure.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, 'png', optimize=True)
    return b64encode(out.getvalue()).decode() + '\n'


def execute(path, slow=False):
    "Run one notebook in its folder, as a reader would, and write it back with its outputs"
    nb, start = read_nb(path), time.time()
    shell = CaptureShell(path, mpl_format='png')

    def left_out(c):
        return c.cell_type != 'code' or ('#| slow' in c.source and not slow)

    for c in nb.cells:
        if not left_out(c):
            c.outputs = []  # a cell that prints nothing now keeps nothing of before
    os.chdir(path.parent)
    shell.run_all(nb, exc_stop=True, preproc=left_out)
    for c in nb.cells:
        for o in c.get('outputs') or []:
            if 'image/png' in o.get('data', {}):
                o['data'].pop('text/html', None)
                o['data']['image/png'] = smaller(''.join(o['data']['image/png']))
    write_nb(nb, path)
    print(f'{path.name}: {time.time() - start:.0f} s')


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    named = [Path(a).resolve() for a in sys.argv[1:] if a != '--slow']
    for p in named or sorted((ROOT / 'nbs').glob('[!_.]*.ipynb')):
        execute(p, '--slow' in sys.argv)
