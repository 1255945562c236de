"Trainings by several processes, and trainings that are killed"
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

COMMAND = str(Path(sys.executable).with_name('stellar_gen'))
TINY = dict(latent=4, channels=16, heads=16, hidden=32, coefs=24, refine=0)  # a refined start that is poor magnifies rounding
PATIENCE = 120  # s until a training must have finished an epoch


@pytest.fixture(scope='module')
def survey(tmp_path_factory):
    from stellar_gen.simulate import simulate_store
    d = tmp_path_factory.mktemp('survey')
    simulate_store(d / 'survey', 384, seed=0, workers=1, quiet=True)
    return d / 'survey'


def test_two_processes_are_one_with_the_doubled_batch(survey, tmp_path):
    "An autoencoder draws no random numbers, so that its losses agree; a VAE's agree as two seeds do"
    pytest.importorskip('accelerate')
    from stellar_gen.train import train_store

    def losses(name, **kwargs):
        model = train_store(survey, tmp_path / name, epochs=3, device='cpu', **kwargs, **TINY)
        return pd.DataFrame(model.info['losses'])

    one, two = losses('one', arch='ae', bs=32), losses('two', arch='ae', bs=16, processes=2)
    for column, rtol in dict(train_loss=5e-3, valid_loss=3e-2, chi2=3e-2).items():  # rounding grows from step to step
        np.testing.assert_allclose(two[column], one[column], rtol=rtol, err_msg=column)
    assert one.valid_loss.iloc[-1] < .9 * one.valid_loss.iloc[0]  # it is something that they agree on
    one, two = losses('vae', bs=32), losses('vaes', bs=16, processes=2)
    np.testing.assert_allclose(two.valid_loss, one.valid_loss, rtol=.1)


def start_and_kill(command, note):
    "Start a training and kill it in the middle of the epoch after the next checkpoint"
    before = note.stat().st_mtime_ns if note.exists() else 0
    start = time.time()
    training = subprocess.Popen(command)
    while time.time() - start < PATIENCE and training.poll() is None:
        if note.exists() and note.stat().st_mtime_ns > before:
            break
        time.sleep(.02)
    time.sleep(.15)
    training.send_signal(signal.SIGKILL)
    training.wait()
    assert training.returncode == -signal.SIGKILL and note.exists(), 'the training was over before it was killed'


def test_killed_training_goes_on(survey, tmp_path):
    "SIGKILL three times, in the middle of epochs; the losses are those of a training that was left in peace"
    def command(name):
        options = ['--epochs', '6', '--latent', '4', '--device', 'cpu', '--log', str(tmp_path / f'{name}.csv'), '-q']
        return [COMMAND, 'train', str(survey), '--out', str(tmp_path / name), *options]

    subprocess.run(command('whole'), check=True)
    whole = pd.read_csv(tmp_path / 'whole.csv')
    assert len(whole) == 6
    note = tmp_path / 'killed.checkpoint'
    for _ in range(3):
        start_and_kill(command('killed'), note)
    subprocess.run(command('killed'), check=True)
    assert not note.exists()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / 'killed.csv'), whole)


def test_the_training_pass_is_one_graph():
    "Compiled as a whole, the pass gives what it gives as it stands"
    import torch

    from stellar_gen.vae import SpectraVAE
    torch.manual_seed(0)
    net = SpectraVAE(n_pix=500, **TINY).train()
    flux, ivar = 1 + .1 * torch.randn(4, 500), torch.ones(4, 500)
    torch.manual_seed(1)
    plain = net(flux, ivar)
    torch.manual_seed(1)
    compiled = torch.compile(net, backend='eager', fullgraph=True)(flux, ivar)
    for a, b in zip(plain, compiled, strict=True):
        if a is not None:
            torch.testing.assert_close(a, b)
