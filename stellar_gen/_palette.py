"What all figures share: colours that colour-blind readers tell apart (Okabe & Ito 2008), and how a notebook shows them"
from importlib.resources import files
from io import BytesIO

from matplotlib import rc_params_from_file
from matplotlib.figure import Figure

_STYLE = rc_params_from_file(str(files('stellar_gen') / 'stellar_gen.mplstyle'), use_default_template=False)
PALETTE: list[str] = list(_STYLE['axes.prop_cycle'].by_key()['color'])
BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK = PALETTE
GREY = '#777777'        # what explains: marks, names, lines at zero
LIGHT_GREY = '#BBBBBB'  # what is not known, or is one of too many


class Drawn(Figure):
    "A figure that a notebook shows, also before `pyplot` has drawn there: only then does Jupyter know other figures"

    def _repr_png_(self) -> bytes:
        out = BytesIO()
        self.savefig(out, format='png', dpi='figure', bbox_inches='tight')
        return out.getvalue()
