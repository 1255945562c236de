"""What simulating, encoding, scoring, calibrating and training take beside an earlier version, and what costs what.

    git worktree add /tmp/before 27230a6
    python benchmarks/score.py --before /tmp/before [--stars 2048] [--threads 1] [--rounds 3]
    python benchmarks/score.py --stages [--compile]

Both versions run in turn, each in a process of its own, on the same simulated stars in a store; the shortest of all rounds
counts. Seconds are those of the processor, since a machine may be shared; with more than one thread wall time counts too.
Then the results are compared: flags, kinds, reasons, nearest stars, and by how much numbers differ.

`--stages` says what a batch takes on one thread, stage by stage: time (the shortest of many calls), floating-point
operations of products and convolutions, and bytes that all operations read and write. `least` is what the larger of both
would take at the rates of a large product and of a copy of a batch in the same run: the roofline.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUMBERS = ('anomaly', 'p_value', 'chi2', 'logp', 'distance', 'p_star', 'snr')
TEXTS = ('flag', 'kind', 'cause', 'reason', 'nearest')
VIEWS = ('as_strided', 'view', 'empty', 'empty_like', 'resolve_conj', 'resolve_neg', 'detach', 'alias')  # move nothing
BATCH = 64      # stars
PIXELS = 8575
SAMPLE = 1000   # stars, to calibrate with
CALLS = 30      # of a stage, of which the shortest counts


def spent(work):
    "Seconds of the processor and on the clock, and what a function returns"
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return time.process_time() - cpu, time.perf_counter() - wall, found


def one(store, threads, out):
    "Seconds of both functions in this process, the first call apart"
    import torch
    torch.set_num_threads(threads)
    from stellar_gen.anomaly import calibrated, score
    from stellar_gen.data import SpectraStore
    from stellar_gen.model import encode, load_model
    from stellar_gen.simulate import simulate
    from stellar_gen.train import train_store
    model, spectra = load_model('apogee-16'), SpectraStore(store)
    simulate(BATCH)     # tables are read once
    few = spectra[:SAMPLE]
    trained = Path(out).with_suffix('.model')
    work = {
        'score, first call': (BATCH, lambda: score(model, spectra[:BATCH], explain=0)),
        'simulate': (len(spectra), lambda: simulate(len(spectra), seed=3)),
        'encode': (len(spectra), lambda: encode(model, spectra)),
        'score': (len(spectra), lambda: score(model, spectra, explain=0)),
        'calibrate': (len(few), lambda: calibrated(model, few)),
        'train, preparing and one epoch': (len(spectra), lambda: train_store(
            store, trained, epochs=1, device='cpu', overwrite=True)),
        'score with reasons': (len(spectra), lambda: score(model, spectra)),
    }
    took = {}
    for name, (n, of) in work.items():
        *seconds, found = spent(of)
        took[name] = [n, *seconds]
        shutil.rmtree(f'{store}.prepared', ignore_errors=True)
    found.to_parquet(out)
    print(json.dumps(took))


def of_command(place, store, out):
    "Seconds of the processor and on the clock that a command takes in all: it scores a star, of a store of one"
    words = f'import sys; from stellar_gen.cli import main; sys.argv = ["stellar_gen", "score", "{store}", "--out", "{out}", "-q"]; main()'
    used, clock = os.times(), time.perf_counter()
    environment = os.environ | dict(PYTHONPATH=str(place), OMP_NUM_THREADS='1')
    subprocess.run([sys.executable, '-c', words], check=True, env=environment, cwd=place)
    clock, now = time.perf_counter() - clock, os.times()
    out.unlink()
    return now.children_user + now.children_system - used.children_user - used.children_system, clock


def rate(n, seconds):
    "How many a second, in words"
    return f'{n / seconds:,.0f}' if n > seconds else f'{n / seconds:.2f}'


def compared(before, now):
    "A line on how two tables differ"
    import numpy as np
    import pandas as pd
    old, new = (pd.read_parquet(path) for path in (before, now))
    for name in TEXTS:
        print(f'{name}: {(old[name] != new[name]).sum()} of {len(old)} differ')
    for name in NUMBERS:
        off = (old[name] - new[name]).abs().dropna()
        print(f'{name}: differs by {np.quantile(off, 0.999):.1e} in the thousandth star, {off.max():.1e} at most')


def versions(before, stars, threads, rounds):
    "Both versions in turn"
    now = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        make = ('from stellar_gen.simulate import simulate_store\n'
                f'for name, n in (("stars", {stars}), ("one", 1)): simulate_store("{folder}/" + name, n, seed=3, quiet=True)')
        subprocess.run([sys.executable, '-c', make], check=True, env=os.environ | dict(PYTHONPATH=str(now)))
        numbers, shortest = {}, {}
        for _ in range(rounds):
            for side, place in (('before', before), ('now', now)):
                command = [sys.executable, __file__, '--one', f'{folder}/stars', '--threads', str(threads),
                           '--out', f'{folder}/{side}.parquet']
                run = subprocess.run(command, check=True, capture_output=True, text=True,
                                     env=os.environ | dict(PYTHONPATH=str(place), OMP_NUM_THREADS=str(threads)))
                at_large = {'a command: score': (1, *of_command(place, f'{folder}/one', Path(folder) / 'one.csv'))}
                for name, (number, *seconds) in (json.loads(run.stdout.splitlines()[-1]) | at_large).items():
                    numbers[name] = number
                    kept = shortest.setdefault((name, side), seconds)
                    shortest[name, side] = [min(pair) for pair in zip(kept, seconds)]
        print(f'{threads} threads, {stars:,} stars')
        print('| work | stars | per second of the processor, before | now | ratio | per second on the clock, before | now |')
        print('|---|---:|---:|---:|---:|---:|---:|')
        for name, n in numbers.items():
            old, new = shortest[name, 'before'], shortest[name, 'now']
            print(f'| {name} | {n:,} | {rate(n, old[0])} | {rate(n, new[0])} | {old[0] / new[0]:.2f} | '
                  f'{rate(n, old[1])} | {rate(n, new[1])} |')
        print(f'score over encode: {shortest["encode", "now"][0] / shortest["score", "now"][0]:.2f}')
        compared(f'{folder}/before.parquet', f'{folder}/now.parquet')


def shortest_of(work):
    "The shortest call of a function, seconds of the processor"
    work()
    return min(spent(work)[0] for _ in range(CALLS))


def counted(work):
    "Floating-point operations of products and convolutions, and bytes of the tensors that operations read and write"
    from math import prod

    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter:
        work()
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        work()
    moved = 0
    for event in seen.events():
        sizes = [prod(shape) for shape in event.input_shapes if shape]
        if event.cpu_children or not sizes or event.name.removeprefix('aten::') in VIEWS:  # only what computes
            continue
        moved += 4 * (sum(sizes) + max(sizes))
    return counter.get_total_flops(), moved


def copied(x):
    "GB/s, read and written, of a copy"
    import torch
    out = torch.empty_like(x)
    return 8 * x.numel() / shortest_of(lambda: out.copy_(x)) / 1e9


def roofs():
    "What one core can do at best: Gflop/s of a large product, GB/s of copies in memory and within the cache"
    import torch
    large, long, batch = torch.randn(2048, 2048), torch.randn(2**24), torch.randn(BATCH, PIXELS)
    product = 2 * len(large)**3 / shortest_of(lambda: large @ large) / 1e9
    memory, cache = copied(long), copied(batch)
    print('| one core, at best | |')
    print('|---|---:|')
    print(f'| product of matrices, Gflop/s | {product:.0f} |')
    print(f'| copy in memory, GB/s | {memory:.0f} |')
    print(f'| copy of a batch, GB/s | {cache:.0f} |')
    return product, cache


def stages(compiled):
    "What a batch takes, stage by stage, beside the least that operations and bytes would take"
    import torch

    from stellar_gen.anomaly.measures import Misfit, detector_information, measures_of, templates_on
    from stellar_gen.model import load_model
    from stellar_gen.preprocess.recipe import prepare_there
    from stellar_gen.simulate import simulate
    torch.set_num_threads(1)
    model, raw = load_model('apogee-16'), simulate(BATCH, seed=3)
    net = model.net.eval()
    flux, ivar, bits = (torch.from_numpy(x) for x in (raw.flux, raw.ivar, raw.bitmask))
    product, cache = roofs()
    with torch.no_grad():
        ready = prepare_there(model.recipe, flux, ivar, bits)
        templates, information = templates_on(model.grid, net.device), detector_information(net, model.grid)
        first, fit = net.encode(*ready).latents, net.posterior(*ready)

        def indicators():
            return measures_of(Misfit(Fitted(net, fit), templates, information, *ready), recon=False)

        whole = dict(
            prepare=lambda: prepare_there(model.recipe, flux, ivar, bits),
            encoder=lambda: net.encode(*ready),
            slopes=lambda: net.slopes(first),
            drawing=lambda: net.decode(first),
            encoder_and_newton=lambda: net.posterior(*ready),
            indicators=indicators,
        )
        if compiled:
            import warnings
            warnings.simplefilter('ignore')
            for name, work in dict(encoder=net.encode, encoder_and_newton=net.posterior).items():
                fast = torch.compile(work)
                start = time.perf_counter()
                fast(*ready)
                whole[f'{name}, compiled in {time.perf_counter() - start:.0f} s'] = lambda fast=fast: fast(*ready)
            whole['encoder, bfloat16'] = lambda: autocast(net, ready)
        print('| stage | µs of one core | Mflop | MB moved | flop/byte | Gflop/s | GB/s | least µs | share |')
        print('|---|' + '---:|' * 8)
        for name, work in whole.items():
            seconds = shortest_of(work) / BATCH
            flop, moved = (0, 0) if 'compiled' in name else (x / BATCH for x in counted(work))
            least = max(flop / product, moved / cache) / 1e9
            print(f'| {name} | {seconds * 1e6:.0f} | {flop / 1e6:.2f} | {moved / 1e6:.2f} | '
                  f'{flop / max(moved, 1):.1f} | {flop / seconds / 1e9:.0f} | {moved / seconds / 1e9:.0f} | '
                  f'{least * 1e6:.0f} | {least / seconds:.2f} |', flush=True)


class Fitted:
    "A network that has fitted a batch already"
    def __init__(self, net, fit):
        self.net, self.fit = net, fit

    def posterior(self, *batch):
        return self.fit

    def __getattr__(self, name):
        return getattr(self.net, name)


def autocast(net, ready):
    "The encoder in bfloat16"
    import torch
    with torch.autocast('cpu', torch.bfloat16):
        return net.encode(*ready)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--before', help='checkout of an earlier version')
    parser.add_argument('--stars', type=int, default=2048)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--stages', action='store_true')
    parser.add_argument('--compile', action='store_true', help='with --stages: the encoder compiled, and in bfloat16')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    parser.add_argument('--out', help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.threads, given.out)
    elif given.stages:
        stages(given.compile)
    else:
        versions(given.before, given.stars, given.threads, given.rounds)


if __name__ == '__main__':
    main()
