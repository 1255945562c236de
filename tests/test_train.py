"Trainings by several processes, and the pass as one graph"
import numpy as np
import pandas as pd
import pytest

TINY = dict(latent=4, channels=16, heads=16, hidden=32, coefs=24, refine=0)  # a refined start that is poor magnifies rounding


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
