"Trainings by several processes, and trainings that are killed"
import signal, subprocess, sys, time
from pathlib import Path

import numpy as np, pandas as pd
import pytest

COMMAND = str(Path(sys.executable).with_name('stellar_gen'))
TINY = dict(latent=4, channels=16, heads=16, hidden=32, coefs=24, refine=0) # a refined start that is poor magnifies rounding

@pytest.fixture(scope='module')
def survey(tmp_path_factory):
    from stellar_gen.simulate import simulate_store
    d = tmp_path_factory.mktemp('survey')
    simulate_store(d/'survey', 384, seed=0, workers=1, quiet=True)
    return d/'survey'

def test_two_processes_are_one_with_the_doubled_batch(survey, tmp_path):
    "An autoencoder draws no random numbers, so that its losses agree; a VAE's agree as two seeds do"
    pytest.importorskip('accelerate')
    from stellar_gen.train import train_store
    def losses(name, **kw): return pd.DataFrame(train_store(survey, tmp_path/name, epochs=3, device='cpu', **kw, **TINY).info['losses'])
    one,two = losses('one', arch='ae', bs=32),losses('two', arch='ae', bs=16, processes=2)
    for c,rtol in dict(train_loss=5e-3, valid_loss=3e-2, chi2=3e-2).items(): np.testing.assert_allclose(two[c], one[c], rtol=rtol, err_msg=c) # rounding grows from step to step
    assert one.valid_loss.iloc[-1]<.9*one.valid_loss.iloc[0] # it is something that they agree on
    one,two = losses('vae', bs=32),losses('vaes', bs=16, processes=2)
    np.testing.assert_allclose(two.valid_loss, one.valid_loss, rtol=.1)

def test_killed_training_goes_on(survey, tmp_path):
    "SIGKILL three times, in the middle of epochs; the losses are those of a training that was left in peace"
    def command(name): return [COMMAND, 'train', str(survey), '--out', str(tmp_path/name), '--epochs', '6', '--latent', '4', '--device', 'cpu', '--log', str(tmp_path/f'{name}.csv'), '-q']
    subprocess.run(command('whole'), check=True)
    whole,note = pd.read_csv(tmp_path/'whole.csv'),tmp_path/'killed.checkpoint'
    assert len(whole)==6
    for k in range(3):
        p,before,start = subprocess.Popen(command('killed')),note.stat().st_mtime_ns if note.exists() else 0,time.time()
        while not (note.exists() and note.stat().st_mtime_ns>before) and time.time()-start<120 and p.poll() is None: time.sleep(.02)
        time.sleep(.15) # the next epoch is under way
        p.send_signal(signal.SIGKILL); p.wait()
        assert p.returncode==-signal.SIGKILL and note.exists(), 'the training was over before it was killed'
    subprocess.run(command('killed'), check=True)
    assert not note.exists()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path/'killed.csv'), whole)

def test_the_training_pass_is_one_graph():
    import torch
    from stellar_gen.vae import SpectraVAE
    torch.manual_seed(0)
    net,flux,ivar = SpectraVAE(n_pix=500, **TINY).train(),1+.1*torch.randn(4,500),torch.ones(4,500)
    torch.manual_seed(1); plain = net(flux, ivar)
    torch.manual_seed(1); compiled = torch.compile(net, backend='eager', fullgraph=True)(flux, ivar)
    for o in ('flux','latents','logvar','divergence'): torch.testing.assert_close(getattr(plain, o), getattr(compiled, o))
