"fastai's `Learner` on batches of stars, and what remains of it"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .learner import *
    from .callbacks import *
    from .processes import *
    from ..model import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, ['train.learner', 'train.callbacks', 'train.processes', 'model'])
