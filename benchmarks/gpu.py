"""Training and encoding on a GPU against what the GPU can do; nothing is needed but this package, torch and fastai.

    python benchmarks/gpu.py [--device cuda] [--stars 4096] [--batches 64 256 1024 4096] [--feed 20000]

Measured in the same run: memory bandwidth (a copy of a large array), arithmetic (large matrix products in float32,
TensorFloat-32 and bfloat16). Then spectra per second by batch size and precision, in training and in encoding, and
what that means for a million simulated stars and for the 733,901 spectra of DR17. Then what feeds the network:
training from memory and from a store, and `encode`, `score`, `classify` of spectra as read, on the device and on the
CPU, and by how much the two differ (`--feed` stars). Runs on the CPU too.
"""
import argparse
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch

from stellar_gen.anomaly import score
from stellar_gen.classify import classify
from stellar_gen.preprocess import Recipe
from stellar_gen.simulate import simulate, simulate_store
from stellar_gen.train import encode, load_model, spectra_dls, spectra_learner
from stellar_gen.vae import ElboLoss, SpectraVAE

CPU = torch.device('cpu')
PIXELS = 8575
FLOAT = 4                   # bytes
SECONDS = 1.5               # for which a function is called again and again
WARM_UP, CALLS = 3, 5       # calls before the clock starts, and between two looks at it
RATE = 1e-4                 # of learning
FEED_BATCHES = 64, 256, 1024  # on a GPU; elsewhere the first
EPOCHS = 3                  # that are timed, after one that is not
FED = 4096                  # stars of which `encode`, `score` and `classify` are timed
FIRST_CALL = 256            # stars, before the clock starts
COMPARED = {encode: ('z0', 'z15'), score: ('chi2', 'anomaly'), classify: ('teff',)}  # columns
MILLION, DR17 = 1e6, 733_901
PASSES = 20                 # over the million


def wait(device):
    "Until the device has done what it was told"
    if device.type == 'cuda':
        torch.cuda.synchronize()


def rate(device, work, *args):
    "Calls per second"
    for _ in range(WARM_UP):
        work(*args)
    wait(device)
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        for _ in range(CALLS):
            work(*args)
        wait(device)
        n += CALLS
    return n / (time.perf_counter() - start)


# --------------------------------------------------------------------------------------------------------- the device
def allow_tf32(allowed):
    "Whether products of float32 may be taken in TensorFloat-32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def copied(device):
    "Bytes per second that a copy reads and writes"
    x = torch.empty(2**28 if device.type == 'cuda' else 2**24, device=device)
    y = torch.empty_like(x)
    return rate(device, y.copy_, x) * 2 * FLOAT * x.numel()


def multiplied(device, dtype):
    "Operations per second of a product of matrices"
    n = 8192 if device.type == 'cuda' else 2048
    x = torch.randn(n, n, device=device, dtype=dtype)
    return rate(device, torch.matmul, x, x) * 2 * n**3


def limits(device):
    "Print what the device can do; its bandwidth (bytes per second)"
    bandwidth = copied(device)
    print(f'bandwidth {bandwidth / 1e9:,.0f} GB/s')
    kinds = ('float32', torch.float32, False), ('TF32', torch.float32, True), ('bfloat16', torch.bfloat16, False)
    for name, dtype, tf32 in kinds:
        allow_tf32(tf32)
        print(f'arithmetic, {name}: {multiplied(device, dtype) / 1e12:,.1f} Tflop/s')
    return bandwidth


# -------------------------------------------------------------------------------------------------------- the network
def precision(name, device) -> AbstractContextManager:
    "A context in which the network runs in this precision"
    allow_tf32(name != 'float32')
    return torch.autocast(device.type, torch.bfloat16) if name == 'bf16' else nullcontext()


def training_rate(net, flux, ivar, name):
    "Spectra per second of training in this precision"
    loss_func, optimizer = ElboLoss(), torch.optim.Adam(net.parameters(), RATE, fused=True)

    def step():
        with precision(name, flux.device):
            loss = loss_func(net(flux, ivar), flux, ivar)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    net.train()
    return len(flux) * rate(flux.device, step)


@torch.no_grad()
def using_rates(net, flux, ivar, name):
    "Spectra per second of encoding in this precision, and of encoding and refining"
    net.eval()
    with precision(name, flux.device):
        return [len(flux) * rate(flux.device, work, flux, ivar) for work in (net.encode, net.infer)]


def network(device, n_stars, batches, bandwidth):
    "Print rates of the network alone, by batch size and precision"
    ready = Recipe()(simulate(n_stars, 0))
    flux, ivar = (torch.from_numpy(array).to(device) for array in (ready.flux, ready.ivar))
    torch.manual_seed(0)
    net = SpectraVAE().to(device)
    net.start_at_components(flux, ivar)
    dense = sum(layer.weight.numel() for layer in net.modules() if isinstance(layer, torch.nn.Linear))
    flop = 6 * dense                # forward and backward, for each star
    moved = 2 * PIXELS * FLOAT      # bytes of flux and ivar, for each star
    print(f'{"batch":>6} {"precision":>9} {"train/s":>10} {"of bandwidth":>12} {"Tflop/s":>8} {"encode/s":>10} '
          f'{"refined/s":>10}')
    fastest_training = fastest_refining = 0
    for n in batches:
        if n > len(flux):
            continue
        batch = flux[:n], ivar[:n]
        for name in ('float32', 'TF32', 'bf16'):
            trained = training_rate(net, *batch, name)
            encoded, refined = using_rates(net, *batch, name)
            fastest_training = max(fastest_training, trained)
            fastest_refining = max(fastest_refining, refined)
            print(f'{n:6,} {name:>9} {trained:10,.0f} {trained * moved / bandwidth:12.3f} '
                  f'{trained * flop / 1e12:8.2f} {encoded:10,.0f} {refined:10,.0f}', flush=True)
    minutes = PASSES * MILLION / fastest_training / 60
    print(f'one million stars, {PASSES} epochs: {minutes:,.1f} min; {DR17:,} spectra refined: '
          f'{DR17 / fastest_refining:,.0f} s')


# ------------------------------------------------------------------------------------------------------- what feeds it
def train_from(name, source, n, device, batch):
    "Print how fast a network learns from spectra or a store"
    learn = spectra_learner(spectra_dls(source, bs=batch, device=device, in_memory=0))
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1)
        wait(device)
        start = time.perf_counter()
        learn.fit_one_cycle(EPOCHS)
        wait(device)
    per_second = EPOCHS * n / (time.perf_counter() - start)
    print(f'training from {name:6}, {device}, batches of {batch:5,}: {per_second:8,.0f} per second, '
          'validation included', flush=True)


def apply(device, spectra):
    "Print how fast spectra as read are encoded, scored and classified; the tables by function"
    model = load_model('apogee-16', device)
    found = {}
    for work in COMPARED:
        work(model, spectra[:FIRST_CALL])
        start = time.perf_counter()
        found[work] = work(model, spectra)
        wait(device)
        per_second = len(spectra) / (time.perf_counter() - start)
        print(f'{work.__name__:8} {device}: {per_second:8,.0f} per second', flush=True)
    return found


def feed(device, n, folder):
    "Spectra per second where the network is not alone, on the device and on the CPU, and how the two differ"
    store = simulate_store(Path(folder) / 'survey', n, seed=3, quiet=True)
    stars = store[:]
    devices = list(dict.fromkeys((device, CPU)))
    for name, source in (('memory', stars), ('store', store.path)):
        for one in devices:
            for batch in FEED_BATCHES if one.type == 'cuda' else FEED_BATCHES[:1]:
                train_from(name, source, n, one, batch)
    found = {one: apply(one, stars[:FED]) for one in devices}
    for work, columns in COMPARED.items():
        here, there = found[device][work], found[CPU][work]
        most = {name: np.nanmax(np.abs(here[name] - there[name])) for name in columns}
        print(f'{work.__name__}: the devices differ by at most', {name: float(f'{x:.1g}') for name, x in most.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--stars', type=int, default=4096)
    parser.add_argument('--batches', type=int, nargs='*', default=[64, 256, 1024, 4096])
    parser.add_argument('--feed', type=int, default=20_000, help='stars to train on; 0 to leave this out')
    given = parser.parse_args()
    device = torch.device(given.device)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else f'CPU, {torch.get_num_threads()} threads'
    print(name, '| torch', torch.__version__)
    network(device, given.stars, given.batches, limits(device))
    if given.feed:
        with tempfile.TemporaryDirectory() as folder:
            feed(device, given.feed, folder)


if __name__ == '__main__':
    main()
