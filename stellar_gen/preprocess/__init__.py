"From what the spectrograph saw to what a network should see"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .continuum import *
    from .velocity import *
    from .recipe import *
    from .augment import *
    from ..instrument import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, ['preprocess.continuum', 'preprocess.velocity', 'preprocess.recipe', 'preprocess.augment', 'instrument'])
