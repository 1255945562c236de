"""Draw the tables of benchmarks/README.md into benchmarks/figures/, so that figure and table cannot disagree.

    python benchmarks/plots.py [--check]
"""
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use('agg')
matplotlib.rcParams['svg.hashsalt'] = 'stellar_gen'  # the same table gives the same file
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

HERE = Path(__file__).parent
README = HERE / 'README.md'
OURS, OTHERS, THIRD = '#D55E00', '#0072B2', '#009E73'  # told apart by the colour-blind
COLORS = OTHERS, OURS, THIRD
MARKERS = 'os^'
LATENT_MARKERS, LATENT_COLORS = 'oD^s', (OURS, '.3', OTHERS, THIRD)
WIDTH = 9  # inches


def table(text, *columns):
    "The first table of a text whose head has these columns, numbers as numbers"
    for block in re.findall(r'(?:^\|.*\n)+', text, re.M):
        rows = [[cell.strip() for cell in line.strip().strip('|').split('|')] for line in block.splitlines()]
        if set(columns) <= set(rows[0]):
            break
    else:
        raise ValueError(f'no table with the columns {", ".join(columns)}')
    found = pd.DataFrame(rows[2:], columns=numbered(rows[0]))
    first, *others = found.columns
    for column in others:
        values = pd.to_numeric(found[column].str.replace('*', '').str.replace(',', ''), errors='coerce')
        if values.notna().any():
            found[column] = values
    found[first] = found[first].str.replace(r'[*`]', '', regex=True)
    return found


def numbered(names):
    "Names of columns, the second and third of the same name with a number: AP, AP.1, AP.2"
    return [f'{name}.{before}' if (before := names[:i].count(name)) else name for i, name in enumerate(names)]


def thousands(column):
    "Numbers of a column that are written with commas"
    return pd.to_numeric(column.str.replace(',', ''))


def bars(ax, names, values, ours, label, fmt='{:g}', log=False):
    "One bar for each method, the first on top, its value written beside it"
    colors = [OURS if one else OTHERS for one in ours]
    ax.barh(names[::-1], values[::-1], color=colors[::-1], height=.7, log=log)
    for row, value in enumerate(values[::-1]):
        ax.annotate(fmt.format(value), (value, row), xytext=(3, 0), textcoords='offset points', va='center', fontsize=8)
    ax.set_xlabel(label)
    ax.margins(x=.15)


def ticked(axis, ticks, fmt='{:,g}'):
    "These ticks and no others, on a logarithmic axis"
    axis.set_ticks(ticks, [fmt.format(tick) for tick in ticks])
    axis.set_ticks([], minor=True)


def anomaly(text):
    "Areas and precisions of ten methods"
    found = table(text, 'method', 'AUROC 1').sort_values('AUROC 1', ascending=False)
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    names, ours = found.method.tolist(), (found.method == 'ours').tolist()
    bars(axes[0], names, found['AUROC 1'].tolist(), ours, 'area under the ROC curve, 14 kinds of anomaly', '{:.3f}')
    axes[0].set_xlim(.5, 1.08)
    axes[0].axvline(1, color='.6', lw=.6)
    bars(axes[1], names, found['AP.1'].tolist(), ours, 'average precision', '{:.2f}')
    return figure


def reconstruction(text):
    "Distance from the truth, and speed"
    found = table(text, 'method', 'rms', 'parameters').sort_values('rms')
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.4), sharey=True)
    names, ours = found.method.tolist(), found.method.str.startswith('stellar_gen').tolist()
    bars(axes[0], names, found.rms.tolist(), ours, 'distance from the noiseless spectrum, rms', '{:.4f}')
    speed = 'spectra encoded per second (log)'
    bars(axes[1], names, found['encode/s'].tolist(), ours, speed, '{:,.0f}', log=True)
    axes[1].set_xlim(1000, 40_000)
    ticked(axes[1].xaxis, [1000, 3000, 10_000, 30_000])
    return figure


def latents(text):
    "Distance from the truth by the number of latents"
    found = table(text, 'method', 'latents', 'rms')
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8))
    for ax, column, label in zip(axes, ('rms', 'S/N < 150'), ('rms from the noiseless spectrum',
                                                              'reduced chi-square, S/N < 150')):
        for number, (method, of_one) in enumerate(found.groupby('method', sort=False)):
            of_one = of_one.sort_values('latents')
            line = f'{LATENT_MARKERS[number]}-'
            ax.loglog(of_one.latents, of_one[column], line, color=LATENT_COLORS[number], label=method)
        ticked(ax.xaxis, sorted(found.latents.unique()))
        ax.set_xlabel('latents or components')
        ax.set_ylabel(label)
    ticked(axes[0].yaxis, [.003, .005, .01, .02])
    ticked(axes[1].yaxis, [1.6, 2, 2.5, 3, 3.5])
    axes[1].legend()
    return figure


def labels(text):
    "Errors of labels by the number of stars to learn from"
    found = table(text, 'labels', 'learned from')
    found['labels'] = thousands(found.labels)
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.4))
    units = {'Teff (K)': ('Teff error (K)', [20, 50, 100, 200]), 'log g': ('log g error (dex)', [.03, .05, .1, .2]),
             '[Fe/H]': ('[Fe/H] error (dex)', [.02, .05, .1])}
    for ax, (column, (label, ticks)) in zip(axes, units.items()):
        groups = found.groupby('learned from', sort=False)
        for marker, color, (how, of_one) in zip(MARKERS, (OURS, OTHERS, THIRD), groups):
            ax.loglog(of_one.labels, of_one[column], f'{marker}-', color=color, label=how)
        ax.set_xlabel('stars with labels')
        ax.set_ylabel(label)
        ticked(ax.xaxis, [100, 1000, 10_000])
        ticked(ax.yaxis, ticks)
    axes[0].legend()
    return figure


def gpu(text):
    "Rates of the network on a GPU"
    found = table(text, 'batch', 'precision', 'train')
    found['batch'] = thousands(found.batch)
    columns = 'train', 'encode', 'encode and refine'
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.4), sharey=True)
    for ax, column in zip(axes, columns):
        for marker, color, (how, of_one) in zip(MARKERS, COLORS, found.groupby('precision', sort=False)):
            ax.loglog(of_one.batch, of_one[column], f'{marker}-', color=color, label=how)
        ax.set_xlabel('stars in a batch')
        ax.set_title(column)
        ticked(ax.xaxis, [256, 1024, 4096])
    axes[0].minorticks_off()
    axes[0].set_ylabel('spectra per second')
    axes[0].legend()
    return figure


def roofline(text):
    "Rates of the stages of scoring under what one core can do"
    best = table(text, 'one core, at best').set_index('one core, at best')['rate']
    product = best['product of matrices, Gflop/s']
    found = table(text, 'stage', 'flop/byte', 'least µs')
    figure, ax = plt.subplots(figsize=(WIDTH / 1.5, 3.2))
    along = np.geomspace(.3, 40, 100)  # flop/byte
    for name, style, label in (('copy of a batch, GB/s', '-', 'roof, data in the cache'),
                               ('copy in memory, GB/s', '--', 'roof, data in memory')):
        ax.loglog(along, np.minimum(along * best[name], product), style, color='.5', lw=1, label=label)
    for row in found.itertuples(index=False):
        intensity, rate = row[4], row[5]
        ax.plot(intensity, rate, 'o', color=OTHERS)
        ax.annotate(row.stage, (intensity, rate), xytext=(5, -9), textcoords='offset points', fontsize=8)
    ax.set_xlabel('floating-point operations per byte moved')
    ax.set_ylabel('Gflop/s of one core')
    ticked(ax.xaxis, [.5, 1, 2, 5, 10, 20])
    ticked(ax.yaxis, [10, 20, 50, 100])
    ax.set_ylim(8, 130)
    ax.legend(loc='lower right')
    return figure


FIGURES = anomaly, reconstruction, latents, labels, gpu, roofline


def main():
    check = '--check' in sys.argv
    text, odd = README.read_text(encoding='utf-8'), []
    plt.style.use('stellar_gen.stellar_gen')
    (HERE / 'figures').mkdir(exist_ok=True)
    for draw in FIGURES:
        path = HERE / 'figures' / f'{draw.__name__}.svg'
        before = path.read_bytes() if path.is_file() else b''
        draw(text).savefig(path, metadata=dict(Date=None, Creator=None))
        if path.read_bytes() != before:
            odd.append(path.name)
        if check and before:
            path.write_bytes(before)
    if check and odd:
        sys.exit(f'{", ".join(odd)}: not what benchmarks/README.md says: run python benchmarks/plots.py')


if __name__ == '__main__':
    main()
