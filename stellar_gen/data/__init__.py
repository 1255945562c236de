"What a spectrum is, and every way in and out: files, stores, tables, other libraries"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core import *
    from .files import *
    from .mmu import *
    from .others import *
    from .store import *
    from .columns import *
    from .tables import *
    from .interop import *
    from .sources import *
    from .datasets import *
    from .desktop import *
    from ..instrument import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, ['data.core', 'data.files', 'data.mmu', 'data.others', 'data.store', 'data.columns', 'data.tables', 'data.interop', 'data.sources', 'data.datasets', 'data.desktop', 'instrument'])
