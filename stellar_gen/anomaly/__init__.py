"How odd is each star, and why?"
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .measures import *
    from .injection import *
    from .reasons import *
    from .reference import *
    from .adaptation import *
    from .scoring import *
    from .survey import *
else:
    from stellar_gen._lazy import hand_on

    __getattr__, __dir__, __all__ = hand_on(__name__, [
        'anomaly.measures', 'anomaly.injection', 'anomaly.reasons', 'anomaly.reference', 'anomaly.adaptation', 'anomaly.scoring',
        'anomaly.survey'])
