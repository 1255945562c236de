"Colours of all figures: those of the style file (Okabe & Ito 2008), which colour-blind readers tell apart"
from importlib.resources import files

from matplotlib import rc_params_from_file

_STYLE = rc_params_from_file(str(files('stellar_gen') / 'stellar_gen.mplstyle'), use_default_template=False)
PALETTE: list[str] = list(_STYLE['axes.prop_cycle'].by_key()['color'])
BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK = PALETTE
GREY = '#777777'        # what explains: marks, names, lines at zero
LIGHT_GREY = '#BBBBBB'  # what is not known, or is one of too many
