"Which star of one catalog is which star of another"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .match import *
    from .ids import *
    from .surveys import *
    from .pairs import *
    from .big import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, ['crossmatch.match', 'crossmatch.ids', 'crossmatch.surveys', 'crossmatch.pairs', 'crossmatch.big'])
