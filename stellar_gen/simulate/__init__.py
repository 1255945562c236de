"Stars whose every property is known, the ways to be odd, and whole surveys of them"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stars import *
    from .cool import *
    from .calibration import *
    from .kinds import *
    from .survey import *
    from ..instrument import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, [
        'simulate.stars', 'simulate.cool', 'simulate.calibration', 'simulate.kinds', 'simulate.survey', 'instrument'])
