"""What `simulate`, `encode` and `score` take beside an earlier version, and what costs what.

    git worktree add /tmp/before 27230a6
    python benchmarks/score.py --before /tmp/before [--stars 2048] [--threads 1] [--rounds 3]
    python benchmarks/score.py --stages [--compile]

Both versions run in turn, each in a process of its own, on the same simulated stars in a store; the shortest of all rounds
counts. Seconds are those of the processor, since a machine may be shared; with more than one thread wall time counts too.
Then the results are compared: flags, kinds, reasons, nearest stars, and by how much numbers differ.

`--stages` says what a batch takes on one thread, stage by stage: time (the shortest of many calls), and what
`torch.profiler` counts: floating-point operations, and bytes that the operations read and write. Beside them stand the
rates of a large matrix product and of a copy in the same run.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUMBERS = ('anomaly', 'p_value', 'chi2', 'logp', 'distance', 'p_star', 'snr')
TEXTS = ('flag', 'kind', 'cause', 'reason', 'nearest')
VIEWS = ('as_strided', 'view', 'empty', 'empty_like', 'resolve_conj', 'resolve_neg', 'detach', 'alias')  # move nothing
BATCH = 64      # stars
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
    from stellar_gen.anomaly import score
    from stellar_gen.data import SpectraStore
    from stellar_gen.model import encode, load_model
    from stellar_gen.simulate import simulate
    model, spectra = load_model('apogee-16'), SpectraStore(store)
    simulate(BATCH)     # tables are read once
    seconds = {'score, first call': spent(lambda: score(model, spectra[:BATCH], explain=0))[:2]}
    work = {
        'simulate': lambda: simulate(len(spectra), seed=3),
        'encode': lambda: encode(model, spectra),
        'score': lambda: score(model, spectra, explain=0),
        'score with reasons': lambda: score(model, spectra),
    }
    for name, of in work.items():
        *seconds[name], table = spent(of)
    table.to_parquet(out)
    print(json.dumps(seconds))


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
        make = f'from stellar_gen.simulate import simulate_store; simulate_store("{folder}/stars", {stars}, seed=3, quiet=True)'
        subprocess.run([sys.executable, '-c', make], check=True, env=os.environ | dict(PYTHONPATH=str(now)))
        shortest = {}
        for _ in range(rounds):
            for side, place in (('before', before), ('now', now)):
                command = [sys.executable, __file__, '--one', f'{folder}/stars', '--threads', str(threads),
                           '--out', f'{folder}/{side}.parquet']
                run = subprocess.run(command, check=True, capture_output=True, text=True,
                                     env=os.environ | dict(PYTHONPATH=str(place), OMP_NUM_THREADS=str(threads)))
                for name, seconds in json.loads(run.stdout.splitlines()[-1]).items():
                    kept = shortest.setdefault((name, side), seconds)
                    shortest[name, side] = [min(pair) for pair in zip(kept, seconds)]
        print(f'{threads} threads, {stars:,} stars')
        print('| work | per second of the processor, before | now | ratio | per second on the clock, before | now |')
        print('|---|---:|---:|---:|---:|---:|')
        for name in dict.fromkeys(name for name, _ in shortest):
            n = BATCH if 'first' in name else stars
            old, new = shortest[name, 'before'], shortest[name, 'now']
            print(f'| {name} | {n / old[0]:,.0f} | {n / new[0]:,.0f} | {old[0] / new[0]:.2f} | '
                  f'{n / old[1]:,.0f} | {n / new[1]:,.0f} |')
        rate = {name: stars / shortest[name, 'now'][0] for name in ('encode', 'score')}
        print(f'score over encode: {rate["score"] / rate["encode"]:.2f}')
        compared(f'{folder}/before.parquet', f'{folder}/now.parquet')


def shortest_of(work):
    "The shortest call of a function, seconds of the processor"
    work()
    return min(spent(work)[0] for _ in range(CALLS))


def counted(work):
    "Floating-point operations, and bytes of the tensors that operations read and write, by `torch.profiler`"
    from math import prod
    from torch.profiler import profile, ProfilerActivity
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as seen:
        work()
    flop = moved = 0
    for event in seen.events():
        flop += event.flops or 0
        sizes = [prod(shape) for shape in event.input_shapes if shape]
        if event.cpu_children or not sizes or event.name.removeprefix('aten::') in VIEWS:  # only what computes
            continue
        moved += 4 * (sum(sizes) + max(sizes))
    return flop, moved


def stages(compiled):
    "What a batch takes, stage by stage"
    import torch
    from stellar_gen.anomaly.measures import detector_information, measures_of, Misfit, templates_on
    from stellar_gen.model import load_model
    from stellar_gen.preprocess.recipe import prepare_there
    from stellar_gen.simulate import simulate
    torch.set_num_threads(1)
    model, raw = load_model('apogee-16'), simulate(BATCH, seed=3)
    net = model.net
    flux, ivar, bits = (torch.from_numpy(x) for x in (raw.flux, raw.ivar, raw.bitmask))
    large = torch.randn(2048, 2048)
    product = 2 * 2048**3 / shortest_of(lambda: large @ large)
    long = torch.randn(2**24)
    copy = 8 * 2**24 / shortest_of(long.clone)
    print(f'matrix product {product / 1e9:.0f} Gflop/s, copy {copy / 1e9:.0f} GB/s')
    with torch.no_grad():
        ready = prepare_there(model.recipe, flux, ivar, bits)
        templates, information = templates_on(model.grid, net.device), detector_information(net, model.grid)
        first = net.encode(*ready).latents
        whole = dict(
            prepare=lambda: prepare_there(model.recipe, flux, ivar, bits),
            encoder=lambda: net.encode(*ready),
            slopes=lambda: net.slopes(first),
            drawing=lambda: net.decode(first),
            encoder_and_newton=lambda: net.posterior(*ready),
            all_but_preparing=lambda: measures_of(Misfit(net, templates, information, *ready), recon=False),
        )
        if compiled:
            fast = torch.compile(net.encode)
            whole['encoder, compiled'] = lambda: fast(*ready)
            whole['encoder, bfloat16'] = lambda: autocast(net, ready)
        print('| stage | µs of one core | Mflop | kB moved | Gflop/s | GB/s |')
        print('|---|---:|---:|---:|---:|---:|')
        for name, work in whole.items():
            seconds = shortest_of(work) / BATCH
            flop, moved = (x / BATCH for x in counted(work))
            print(f'| {name} | {seconds * 1e6:.0f} | {flop / 1e6:.2f} | {moved / 1e3:,.0f} | '
                  f'{flop / seconds / 1e9:.0f} | {moved / seconds / 1e9:.0f} |', flush=True)


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
