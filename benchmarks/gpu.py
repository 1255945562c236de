"""Training and encoding on a GPU against what the GPU can do; nothing is needed but this package, torch and fastai.

    python benchmarks/gpu.py [--device cuda] [--stars 4096] [--feed 20000]

Measured in the same run: memory bandwidth (a copy of a large array), arithmetic (large matrix products in float32,
TensorFloat-32 and bfloat16). Then spectra per second by batch size and precision, in training and in encoding, and
what that means for a million simulated stars and for the 733,901 spectra of DR17. Then what feeds the network: training
from memory and from a store, and `encode`, `score`, `classify` of spectra as read, on the device and on the CPU, and by how
much the two differ (`--feed` stars). Runs on the CPU too.
"""
import argparse, tempfile, time
from contextlib import nullcontext

import numpy as np, torch
from stellar_gen.anomaly import score
from stellar_gen.classify import classify
from stellar_gen.preprocess import Recipe
from stellar_gen.simulate import simulate,simulate_store
from stellar_gen.train import encode,load_model,spectra_dls,spectra_learner
from stellar_gen.vae import ElboLoss, SpectraVAE

def wait(device): torch.cuda.synchronize() if device.type=='cuda' else None

def rate(f, device, seconds=1.5):
    "Calls per second"
    for _ in range(3): f()
    wait(device); start,n = time.perf_counter(),0
    while time.perf_counter()-start<seconds:
        for _ in range(5): f()
        wait(device); n += 5
    return n/(time.perf_counter()-start)

def feed(device, n, folder):
    "Spectra per second where the network is not alone"
    store = simulate_store(f'{folder}/survey', n, seed=3, quiet=True)
    stars,devices = store[:],dict.fromkeys((device,torch.device('cpu')))
    for name,source in (('memory',stars), ('store',store.path)):
        for d,bs in [(d,bs) for d in devices for bs in ((64,256,1024) if d.type=='cuda' else (64,))]:
            dls = spectra_dls(source, bs=bs, device=d, in_memory=0)
            learn = spectra_learner(dls)
            with learn.no_bar(),learn.no_logging():
                learn.fit_one_cycle(1); wait(d)
                start = time.perf_counter(); learn.fit_one_cycle(3); wait(d)
            print(f'training from {name:6}, {d}, batches of {bs:5,}: {3*n/(time.perf_counter()-start):8,.0f} per second, validation included', flush=True)
    some,got = stars[:4096],{}
    for d in devices:
        model = load_model('apogee-16', d)
        for f in (encode,score,classify):
            f(model, some[:256])
            start = time.perf_counter(); got[f.__name__,d] = f(model, some); wait(d)
            print(f'{f.__name__:8} {d}: {len(some)/(time.perf_counter()-start):8,.0f} per second', flush=True)
    for name,cols in dict(encode=('z0','z15'), score=('chi2','anomaly'), classify=('teff',)).items():
        a,b = (got[name,d] for d in (device,torch.device('cpu')))
        print(f'{name}: the devices differ by at most', {c:float(f'{np.nanmax(np.abs(a[c]-b[c])):.1g}') for c in cols})

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu'); p.add_argument('--stars', type=int, default=4096)
    p.add_argument('--batches', type=int, nargs='*', default=[64,256,1024,4096]); p.add_argument('--compile', action='store_true'); p.add_argument('--feed', type=int, default=20_000, help='stars to train on; 0 to leave this out')
    a = p.parse_args()
    device = torch.device(a.device)
    print(torch.cuda.get_device_name(device) if device.type=='cuda' else f'CPU, {torch.get_num_threads()} threads', '| torch', torch.__version__)
    x = torch.empty(2**28 if device.type=='cuda' else 2**24, device=device); y = torch.empty_like(x)
    bandwidth = rate(lambda: y.copy_(x), device)*2*4*x.numel()
    print(f'bandwidth {bandwidth/1e9:,.0f} GB/s')
    n = 8192 if device.type=='cuda' else 2048
    for name,dtype,tf32 in (('float32',torch.float32,False), ('TF32',torch.float32,True), ('bfloat16',torch.bfloat16,False)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        m = torch.randn(n, n, device=device, dtype=dtype)
        print(f'arithmetic, {name}: {rate(lambda: m@m, device)*2*n**3/1e12:,.1f} Tflop/s')
    ready = Recipe()(simulate(a.stars, 0))
    flux,ivar = (torch.from_numpy(o).to(device) for o in (ready.flux,ready.ivar))
    torch.manual_seed(0)
    net = SpectraVAE().to(device)
    net.start_at_components(flux, ivar)
    loss_func,opt = ElboLoss(),torch.optim.Adam(net.parameters(), 1e-4, fused=True)
    run = torch.compile(net) if a.compile else net
    per_star = 2*8575*4 # bytes of flux and ivar
    flop = 6*sum(m.weight.numel() for m in net.modules() if isinstance(m, torch.nn.Linear)) # forward and backward of the dense layers, per star
    print(f'{"batch":>6} {"precision":>9} {"train/s":>10} {"of bandwidth":>12} {"Tflop/s":>8} {"encode/s":>10} {"refined/s":>10}')
    best = dict(train=0, encode=0)
    for bs in a.batches:
        if bs>len(flux): continue
        f,v = flux[:bs],ivar[:bs]
        for name,tf32,ctx in (('float32',False,nullcontext), ('TF32',True,nullcontext), ('bf16',True,lambda: torch.autocast(device.type, torch.bfloat16))):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            torch.backends.cudnn.allow_tf32 = tf32
            net.train()
            def step():
                with ctx(): loss = loss_func(run(f, v), f, v)
                opt.zero_grad(); loss.backward(); opt.step()
            t = rate(step, device)*bs
            net.eval()
            with torch.no_grad(),ctx(): e,r = rate(lambda: net.encode(f, v), device)*bs,rate(lambda: net.infer(f, v), device)*bs
            best = dict(train=max(best['train'], t), encode=max(best['encode'], r))
            print(f'{bs:6,} {name:>9} {t:10,.0f} {t*per_star/bandwidth:12.3f} {t*flop/1e12:8.2f} {e:10,.0f} {r:10,.0f}', flush=True)
    print(f'one million stars, 20 epochs: {20e6/best["train"]/60:,.1f} min; 733,901 spectra refined: {733_901/best["encode"]:,.0f} s')
    if a.feed:
        with tempfile.TemporaryDirectory() as folder: feed(device, a.feed, folder)
