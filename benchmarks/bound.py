"""How much chi2 sixteen numbers must leave, whatever the network.

    python benchmarks/bound.py [--stars 150] [--snr 100] [--latents 8 12 16 20 24]

Around each simulated star the spectrum is a linear function of its labels, whose scatter is known. The best L numbers
keep the L strongest directions of that function in units of the noise; what the others would have explained is left
in chi2. The ripple of the fibres, which no latent knows, is added below.
"""
import argparse

import numpy as np
import pandas as pd

from stellar_gen.data import CHIPS
from stellar_gen.simulate import ELEMENTS, sample_labels, synthesize
from stellar_gen.simulate.stars import ABUNDANCE_SCATTER

PIXELS = 8575
HOT = 20_000          # K: above it the grid ends soon, and steps of temperature go down
CHIP_RESOLUTIONS = [f'resolution_{chip}' for chip in CHIPS]
STEP = dict(teff=20, logg=.03, fe_h=-.02, vsini=1, vmacro=.3, rv=.1, a_v=.05, dib_v=2)  # for the slopes
STEP |= dict.fromkeys(CHIP_RESOLUTIONS, 100)
STEP |= {f'{element.lower()}_fe': .02 for element in ELEMENTS}
SCATTER = dict(teff=1000, logg=1, fe_h=.3, dib_v=60)    # of the population
SCATTER |= dict.fromkeys(CHIP_RESOLUTIONS, 560)         # from fibre to fibre
SCATTER |= {f'{element.lower()}_fe': ABUNDANCE_SCATTER[element] for element in ELEMENTS}
SCATTER_OF_KIND = dict(
    vsini=dict(giant=3, dwarf=15, hot=60, cool_dwarf=15),
    rv=dict(giant=.3, dwarf=.5, hot=3, cool_dwarf=.5),
    a_v=dict(giant=1, dwarf=.2, hot=.2, cool_dwarf=.2),
)
VMACRO_SCATTER = .25  # of the value itself
RIPPLE = .002         # amplitude, of the continuum


def scatter(star, name):
    "How much a label varies among stars like this one"
    if name in SCATTER_OF_KIND:
        return SCATTER_OF_KIND[name][star['kind']]
    return VMACRO_SCATTER * star['vmacro'] if name == 'vmacro' else SCATTER[name]


def left(star, snr, latents):
    "Chi-square per pixel that the best L numbers leave, for each L; a ValueError at the edge of the models"
    steps = {name: -step if name == 'teff' and star['teff'] > HOT else step for name, step in STEP.items()}
    near = pd.DataFrame([star, *(star | {name: star[name] + step} for name, step in steps.items())])
    on = np.concatenate([np.arange(PIXELS)[chip] for chip in CHIPS.values()])
    flux = synthesize(near)[:, on]                                       # (1+labels,pixels)
    slopes = (flux[1:] - flux[0]) / np.array([*steps.values()])[:, None]
    moved = slopes * np.array([scatter(star, name) for name in steps])[:, None] * snr
    strength = np.sort(np.linalg.eigvalsh(moved @ moved.T))[::-1] / len(on)
    return [strength[number:].sum() for number in latents]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--stars', type=int, default=150)
    parser.add_argument('--snr', type=float, default=100)
    parser.add_argument('--latents', type=int, nargs='*', default=[8, 12, 16, 20, 24])
    given = parser.parse_args()
    rows = []
    for star in sample_labels(given.stars, 0).to_dict('records'):
        try:
            rows.append([star['kind'], *left(star, given.snr, given.latents)])
        except ValueError:
            continue
    found = pd.DataFrame(rows, columns=['kind', *(f'{number} latents' for number in given.latents)])
    print(f'chi2/pixel left at S/N {given.snr:g}, median of {len(found)} stars')
    median = found.drop(columns='kind').median().to_frame('all').T
    print(pd.concat([found.groupby('kind').median(), median]).round(4).to_string())
    print(f'ripple of the fibres: {(given.snr * RIPPLE)**2 / 2:.3f} (amplitude {RIPPLE})')


if __name__ == '__main__':
    main()
