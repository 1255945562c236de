"""Run notebooks with several numbers of threads and with other random seeds: a check must hold with all of them

    tools/robust.py --threads 1,2,4 --seed-offset 0,1000 [notebooks]

Each setting runs in a process of its own, in the notebook's folder, without `#| slow` and `#| cuda` cells, as the
tests do. The offset is added to the integers in `seed=...`, `default_rng(...)` and `manual_seed(...)` of the cells
that are not exported. Printed is a table, notebook by setting, and below it the line at which each failure stopped.
Exit status 1 if there is any.
"""
import argparse
import ast
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.resolve()
SEEDERS = {'default_rng', 'manual_seed'}
SKIPPED = {'slow', 'cuda'}
THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMBA_NUM_THREADS')
ANSWER = '-- answer: '  # begins the line in which a process says how its notebook ended


# ------------------------------------------------------------------------------------------------ other random seeds
def terms(
    node: ast.expr,  # What stands for a seed
) -> Iterator[ast.Constant]:
    "The integers that a seed is made of: itself, terms of a sum, entries of a list"
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield node
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from terms(node.left)
        yield from terms(node.right)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for entry in node.elts:
            yield from terms(entry)


def seeds(
    tree: ast.AST,  # A cell
) -> Iterator[ast.expr]:
    "Every expression that stands for a seed"
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == 'seed':
            yield node.value
        elif isinstance(node, ast.Call) and getattr(node.func, 'attr', getattr(node.func, 'id', '')) in SEEDERS:
            yield from node.args
        elif isinstance(node, ast.arguments):
            named = node.posonlyargs + node.args
            yield from (value for name, value in zip(named[::-1], node.defaults[::-1]) if name.arg == 'seed')
            yield from (value for name, value in zip(node.kwonlyargs, node.kw_defaults) if name.arg == 'seed' and value)
        elif isinstance(node, ast.Assign) and any(getattr(o, 'id', '') == 'seed' for o in node.targets):
            yield node.value


def shifted(
    source: str,  # Python of a cell
    offset: int,  # Added to every seed
) -> str:         # The cell with other seeds
    "A cell with an offset added to its random seeds"
    lines = source.encode().splitlines(keepends=True)  # bytes, since that is how `ast` counts columns
    found = {(o.lineno, o.col_offset): o for seed in seeds(ast.parse(source)) for o in terms(seed)}
    for (line, start), o in sorted(found.items(), reverse=True):
        text = lines[line - 1]
        lines[line - 1] = text[:start] + str(o.value + offset).encode() + text[o.end_col_offset:]
    return b''.join(lines).decode()


# ---------------------------------------------------------------------------------------------------- one notebook
def run_here(
    path: Path,   # A notebook
    offset: int,  # Added to its seeds
) -> str:         # Empty if it ran to its end; otherwise the cell, the line and the error
    "Run a copy of a notebook in this process"
    os.environ['IN_TEST'] = '1'
    sys.path.insert(0, str(ROOT))
    os.chdir(path.parent)
    from execnb.shell import CaptureShell
    from IPython.core.inputtransformer2 import TransformerManager
    from nbdev.process import NBProcessor
    cells = [c for c in NBProcessor(path, process=True).nb.cells if c.cell_type == 'code']
    shell = CaptureShell(path)
    for c in cells:
        told = c.directives_
        if SKIPPED & told.keys() or told.get('eval:', [''])[0].lower() == 'false':
            continue
        lesson = not any(o.startswith('export') for o in told)
        source = TransformerManager().transform_cell(c.source)  # magics as Python
        shell.run(shifted(source, offset) if lesson else source)
        if error := shell.exc:
            inside = [f for f in traceback.extract_tb(error.__traceback__) if 'ipython-input' in f.filename]
            line = inside[-1].line if inside else c.source.splitlines()[0]
            message = ' '.join(str(error).split())[:120]
            return f'cell {c.idx_}: {line}  [{type(error).__name__}{": " if message else ""}{message}]'
    return ''


def run(
    path: Path,    # A notebook
    threads: int,  # Threads of torch and of BLAS
    offset: int,   # Added to its seeds
) -> str:          # As of `run_here`
    "Run a copy of a notebook in a process of its own"
    env = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {'MPLBACKEND': 'agg'}
    command = [sys.executable, __file__, '--here', str(path), '--seed-offset', str(offset)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    answers = [o.removeprefix(ANSWER) for o in done.stdout.splitlines() if o.startswith(ANSWER)]
    if not answers:
        return f'ended with status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}'
    return json.loads(answers[-1])


# -------------------------------------------------------------------------------------------------------- all of them
def numbers(text: str) -> list[int]:
    return [int(o) for o in text.split(',')]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--threads', type=numbers, default=[1, 2, 4], help='as 1,2,4')
    parser.add_argument('--seed-offset', type=numbers, default=[0, 1000], help='as 0,1000')
    parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('notebooks', nargs='*', type=Path, help='all of nbs/ if left out')
    args = parser.parse_args()
    if args.here:
        print('\n' + ANSWER + json.dumps(run_here(args.notebooks[0], args.seed_offset[0])))
        return
    paths = [p.resolve() for p in args.notebooks] or sorted((ROOT / 'nbs').glob('[!_.]*.ipynb'))
    settings = [(threads, offset) for threads in args.threads for offset in args.seed_offset]
    print(f'{"notebook":20}', *(f'{t} threads +{o}'.rjust(16) for t, o in settings))
    failures = []
    for p in paths:
        print(f'{p.stem[:20]:20}', end='', flush=True)
        for threads, offset in settings:
            start = time.time()
            failed = run(p, threads, offset)
            if failed:
                failures.append(f'{p.stem}, {threads} threads, seeds +{offset}: {failed}')
            entry = f'{"FAIL" if failed else "ok"} {time.time() - start:.0f} s'
            print(f'{entry:>17}', end='', flush=True)
        print()
    print('', *failures, sep='\n')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
