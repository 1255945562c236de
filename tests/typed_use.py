"What a user's type checker must understand of the package; checked by mypy, never run"
from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd

from stellar_gen.anomaly import score
from stellar_gen.classify import classify
from stellar_gen.data import Spectra, concat, sample_spectra
from stellar_gen.generate import generate
from stellar_gen.simulate import simulate
from stellar_gen.train import TrainedModel, encode, load_model

stars = sample_spectra()
assert_type(stars, Spectra)
assert_type(stars.wave, np.ndarray)
assert_type(stars.meta, pd.DataFrame)
assert_type(stars[:2], Spectra)
assert_type(stars.save('survey'), Path)
assert_type(Spectra.open('survey'), Spectra)
assert_type(concat([stars, simulate(3, seed=1)]), Spectra)
model = load_model('apogee-16')
assert_type(model, TrainedModel)
for table in (encode(model, stars), score(model, stars), classify(model, stars)):
    assert_type(table, pd.DataFrame)
assert_type(generate(model, 3, near=stars[:1], snr=None, vsini=20.), Spectra)
stars.snr(3) # type: ignore[call-arg]
