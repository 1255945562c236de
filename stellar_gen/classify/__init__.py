"Labels and types of stars, maps of them, and the lines they are read from"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reading import *
    from .labels import *
    from .maps import *
    from .lines import *
    from .catalog import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, ['classify.reading', 'classify.labels', 'classify.maps', 'classify.lines', 'classify.catalog'])
