"""Draw the tables of benchmarks/README.md into benchmarks/figures/, so that figure and table cannot disagree.

    python benchmarks/plots.py [--check]
"""
import re, sys
from pathlib import Path

import matplotlib
matplotlib.use('agg')
matplotlib.rcParams['svg.hashsalt'] = 'stellar_gen' # the same table gives the same file
import matplotlib.pyplot as plt, pandas as pd

HERE = Path(__file__).parent
OURS,OTHERS = '#D55E00','#0072B2'

def table(text, *columns):
    "The first table of `text` whose head has these columns, numbers as numbers"
    for block in re.findall(r'(?:^\|.*\n)+', text, re.M):
        rows = [[c.strip() for c in l.strip().strip('|').split('|')] for l in block.splitlines()]
        if set(columns)<=set(rows[0]): break
    else: raise ValueError(f'no table with the columns {", ".join(columns)}')
    head = [f'{c}.{n}' if (n := rows[0][:i].count(c)) else c for i,c in enumerate(rows[0])] # AP, AP.1, AP.2
    t = pd.DataFrame(rows[2:], columns=head)
    for c in t.columns[1:]:
        v = pd.to_numeric(t[c].str.replace('*','').str.replace(',',''), errors='coerce')
        if v.notna().any(): t[c] = v
    t[t.columns[0]] = t[t.columns[0]].str.replace(r'[*`]', '', regex=True)
    return t

def bars(ax, names, values, ours, label, fmt='{:g}', log=False):
    "One bar a method, the best on top, its value written beside it"
    ax.barh(names[::-1], values[::-1], color=[OURS if o else OTHERS for o in ours[::-1]], height=.7, log=log)
    for i,v in enumerate(values[::-1]): ax.annotate(fmt.format(v), (v,i), xytext=(3,0), textcoords='offset points', va='center', fontsize=8)
    ax.set_xlabel(label); ax.margins(x=.15)

def anomaly(text):
    t = table(text, 'method', 'AUROC 1').sort_values('AUROC 1', ascending=False)
    fig,ax = plt.subplots(1, 2, figsize=(9,2.8), sharey=True)
    ours = (t.method=='ours').tolist()
    bars(ax[0], t.method.tolist(), t['AUROC 1'].tolist(), ours, 'area under the ROC curve, 14 kinds of anomaly', '{:.3f}')
    ax[0].set_xlim(.5, 1.08); ax[0].axvline(1, color='.6', lw=.6)
    bars(ax[1], t.method.tolist(), t['AP.1'].tolist(), ours, 'average precision', '{:.2f}')
    return fig

def reconstruction(text):
    t = table(text, 'method', 'rms', 'parameters').sort_values('rms')
    fig,ax = plt.subplots(1, 2, figsize=(9,2.4), sharey=True)
    ours = t.method.str.startswith('stellar_gen').tolist()
    bars(ax[0], t.method.tolist(), t.rms.tolist(), ours, 'distance from the noiseless spectrum, rms', '{:.4f}')
    bars(ax[1], t.method.tolist(), t['encode/s'].tolist(), ours, 'spectra encoded per second (log)', '{:,.0f}', log=True)
    ticks = [1000, 3000, 10_000, 30_000]
    ax[1].minorticks_off()
    ax[1].set_xlim(1000, 40_000)
    ax[1].set_xticks(ticks, [f'{v:,}' for v in ticks])
    return fig

def labels(text):
    t = table(text, 'labels', 'learned from')
    t['labels'] = pd.to_numeric(t.labels.str.replace(',',''))
    fig,axs = plt.subplots(1, 3, figsize=(9,2.4))
    for ax,c,unit,ticks in zip(axs, ('Teff (K)','log g','[Fe/H]'), ('Teff error (K)','log g error (dex)','[Fe/H] error (dex)'), ([20,50,100,200],[.03,.05,.1,.2],[.02,.05,.1])):
        for k,(how,g) in enumerate(t.groupby('learned from', sort=False)): ax.loglog(g.labels, g[c], 'os^'[k]+'-', color=(OURS,OTHERS,'#009E73')[k], label=how)
        ax.set_xlabel('stars with labels'); ax.set_ylabel(unit); ax.minorticks_off()
        ax.set_xticks([100,1000,10_000], ['100','1,000','10,000']); ax.set_yticks(ticks, [f'{v:g}' for v in ticks])
    axs[0].legend()
    return fig

def gpu(text):
    t = table(text, 'batch', 'precision', 'train')
    t['batch'] = pd.to_numeric(t.batch.str.replace(',',''))
    fig,axs = plt.subplots(1, 3, figsize=(9,2.4), sharey=True)
    for ax,c in zip(axs, ('train','encode','encode and refine')):
        for k,(how,g) in enumerate(t.groupby('precision', sort=False)): ax.loglog(g.batch, g[c], 'os^'[k]+'-', color=(OTHERS,OURS,'#009E73')[k], label=how)
        ax.set_xlabel('stars in a batch'); ax.set_title(c); ax.set_xticks([256,1024,4096], ['256','1,024','4,096']); ax.minorticks_off()
    axs[0].set_ylabel('spectra per second'); axs[0].legend()
    return fig

if __name__=='__main__':
    text,odd = (HERE/'README.md').read_text(encoding='utf-8'),[]
    plt.style.use('stellar_gen.stellar_gen')
    (HERE/'figures').mkdir(exist_ok=True)
    for f in (anomaly,reconstruction,labels,gpu):
        path = HERE/'figures'/f'{f.__name__}.svg'
        before = path.read_bytes() if path.is_file() else b''
        f(text).savefig(path, metadata=dict(Date=None, Creator=None))
        if path.read_bytes()!=before: odd.append(path.name)
        if '--check' in sys.argv and before: path.write_bytes(before)
    if '--check' in sys.argv and odd: sys.exit(f'{", ".join(odd)}: not what benchmarks/README.md says: run python benchmarks/plots.py')
