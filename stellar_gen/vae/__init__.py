"Sixteen numbers that hold a spectrum, and a network that turns them back into one"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .network import *
    from .losses import *
    from .variants import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, ['vae.network', 'vae.losses', 'vae.variants'])
