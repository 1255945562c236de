"""Cross-matching at survey size, side by side with astropy; and how right it is on real catalogs. One run.

    python benchmarks/crossmatch.py [--shared ../shared/data] [--left 733901 --right 588571 --pairs 41940]

Each method runs in a process of its own, so that its peak memory is its own. The catalogs are synthetic, with known
truth: a part spread over the sky, a part clustered along the Galactic plane, proper motions, and 16.5 years between
the epochs. Astropy's methods get positions that were brought to one epoch beforehand; ours does it itself.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import Table
from pyarrow import default_memory_pool, parquet

from stellar_gen.crossmatch import crossmatch, id_to_position, propagate

RADIUS = 1.                         # arcsec
LEFT_EPOCH, RIGHT_EPOCH = 2016., 1999.5
YEARS = RIGHT_EPOCH - LEFT_EPOCH
CLUSTERS = 600
CLUSTER_SIZE = .6                   # deg, a scatter
PLANE = 5.                          # deg, scale height of the clusters' latitudes
PROPER_MOTION = 8.                  # mas/yr, scale of Student's t with 3 degrees of freedom
ERROR = .1                          # arcsec, of the positions on the right
RUNS = 2                            # of each method, of which the faster counts
METHODS = (                         # name in the table, method, positions
    ('match_to_catalog_sky, positions moved beforehand', 'match_to_catalog_sky', 'moved'),
    ('search_around_sky, positions moved beforehand', 'search_around_sky', 'moved'),
    ('stellar_gen one_to_one, positions moved beforehand', 'stellar_gen', 'moved'),
    ('stellar_gen one_to_one with epochs', 'stellar_gen with epochs', 'raw'),
    ('stellar_gen one_to_one without epochs', 'stellar_gen', 'raw'),
)
REAL_PROPER_MOTION = 12.            # mas/yr, the same scale for real stars, which are moved
REAL_EPOCHS = 2016., 2000.


def peak_mib():
    "Peak memory of this process since it began; getrusage has also that of the process it was forked from"
    status = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in status if line.startswith('VmHWM')).split()[1]) / 1024


def judged(left, right, true):
    "Recall and precision of pairs of names, of which `true` could be found"
    right_ones = (left == right).sum()
    return dict(recall=right_ones / true, precision=right_ones / max(len(left), 1), pairs=len(left))


def coordinates(table):
    return SkyCoord(np.asarray(table.ra) * units.deg, np.asarray(table.dec) * units.deg)


# ------------------------------------------------------------------------------------------------- synthetic catalogs
def sky(rng, n):
    "Positions (deg): two thirds in clusters along the Galactic plane, the rest anywhere"
    clustered = n * 2 // 3
    anywhere = n - clustered
    member_of = rng.integers(0, CLUSTERS, clustered)
    longitude = rng.uniform(0, 360, CLUSTERS)
    latitude = rng.laplace(0, PLANE, CLUSTERS)
    longitude = (longitude[member_of] + rng.normal(0, CLUSTER_SIZE, clustered)) % 360
    latitude = np.clip(latitude[member_of] + rng.normal(0, CLUSTER_SIZE, clustered), -90, 90)
    near_plane = SkyCoord(l=longitude * units.deg, b=latitude * units.deg, frame='galactic').icrs
    ra = rng.uniform(0, 360, anywhere)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, anywhere)))
    return np.r_[near_plane.ra.deg, ra], np.r_[near_plane.dec.deg, dec]


def catalogs(n, m, pairs, seed=0):
    "Two catalogs of `n` and `m` rows that share some stars, each at its epoch"
    rng = np.random.default_rng(seed)
    stars = n + m - pairs
    ra, dec = sky(rng, stars)
    pmra, pmdec = rng.standard_t(3, (2, stars)) * PROPER_MOTION
    shuffled = rng.permutation(stars)
    in_left = shuffled[:n]
    in_right = rng.permutation(np.r_[shuffled[:pairs], shuffled[n:]])
    left = dict(ra=ra[in_left], dec=dec[in_left], pmra=pmra[in_left], pmdec=pmdec[in_left], star=in_left)
    ra, dec = propagate(ra[in_right], dec[in_right], pmra[in_right], pmdec[in_right], YEARS)
    error_ra, error_dec = rng.normal(0, ERROR, (2, m)) / 3600
    ra = (ra + error_ra / np.cos(np.radians(dec))) % 360
    dec = np.clip(dec + error_dec, -90, 90)
    return pd.DataFrame(left), pd.DataFrame(dict(ra=ra, dec=dec, star=in_right))


def matched(how, left, right):
    "Stars of the pairs that a method finds, on the left and on the right"
    if how.startswith('stellar_gen'):
        epochs = (LEFT_EPOCH, RIGHT_EPOCH) if how.endswith('with epochs') else (None, None)
        found = crossmatch(left, right, RADIUS, epochs=epochs, errors=(None, ERROR))
        return found.star_l.to_numpy(), found.star_r.to_numpy()
    here, there, radius = coordinates(left), coordinates(right), RADIUS * units.arcsec
    if how == 'match_to_catalog_sky':
        nearest, separation, _ = here.match_to_catalog_sky(there)
        rows = np.flatnonzero(separation < radius)
        others = nearest[rows]
    else:
        rows, others, *_ = search_around_sky(here, there, radius)
    return left.star.to_numpy()[rows], right.star.to_numpy()[others]


def one(how, folder):
    "Run one method in this process; print what it did"
    left, right = (read(folder / f'{side}.parquet') for side in ('left', 'right'))
    start, cpu = time.perf_counter(), time.process_time()
    found = matched(how, left, right)
    took = dict(seconds=time.perf_counter() - start, cpu=time.process_time() - cpu, peak=peak_mib())
    true = len(np.intersect1d(left.star, right.star))
    print(json.dumps(took | judged(*found, true)))


def measured(how, folder):
    "The faster run of a method, each in a process of its own"
    command = [sys.executable, __file__, '--one', how, '--data', folder]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(RUNS)]
    return min(map(json.loads, runs), key=lambda run: run['seconds'])


def read(path):
    "A table, without what reading it took: peak memory shall be that of the table and of the match"
    frame = parquet.read_table(path, use_threads=False).to_pandas(split_blocks=True, self_destruct=True)
    default_memory_pool().release_unused()
    return frame


def write(folder, left, right):
    folder.mkdir()
    left.to_parquet(folder / 'left.parquet')
    right.to_parquet(folder / 'right.parquet')


def synthetic(given, folder):
    "Print the table of all methods; ratios are to the fastest of astropy so far"
    left, right = catalogs(given.left, given.right, given.pairs)
    ra, dec = propagate(left.ra, left.dec, left.pmra, left.pmdec, YEARS)
    write(folder / 'raw', left, right)
    write(folder / 'moved', left.assign(ra=ra, dec=dec), right)
    print(f'{len(left):,} x {len(right):,} rows, {given.pairs:,} true pairs, radius {RADIUS:g} arcsec')
    print(f'{"method":50} {"seconds":>8} {"ratio":>6} {"peak MiB":>9} {"recall":>8} {"precision":>9} {"pairs":>8}')
    fastest = np.inf
    for name, how, positions in METHODS:
        run = measured(how, folder / positions)
        if not how.startswith('stellar_gen'):
            fastest = min(fastest, run['seconds'])
        print(f'{name:50} {run["seconds"]:8.2f} {run["seconds"] / fastest:6.2f} {run["peak"]:9,.0f} '
              f'{run["recall"]:8.4f} {run["precision"]:9.4f} {run["pairs"]:8,}', flush=True)


# ------------------------------------------------------------------------------------------------------ real catalogs
def texts(column):
    return pd.Series([str(value).strip() for value in column])


def apokasc_stars(folder):
    "Positions and names of the APOKASC catalog"
    table = Table.read(folder / 'APOKASC_Catalog.v7.1.fits')
    names = texts(table['2MASS ID']).str.lstrip('J')
    return pd.DataFrame(dict(ra=np.asarray(table['RA'], float), dec=np.asarray(table['DEC'], float), id=names))


def named_stars(folder):
    "Names of another list, and the positions that they spell"
    table = Table.read(folder / 'irfm_temp.fits')
    column = next(name for name in table.colnames if table[name].dtype.kind in 'SU')
    names = texts(table[column])
    stars = id_to_position(names).assign(id=names.str.replace('^2M|^J', '', regex=True))
    return stars[stars.ra.notna()].reset_index(drop=True)


def wrong_pairs(found):
    "Print pairs of different names"
    for pair in found[found.id_l != found.id_r].itertuples():
        print(f'    {pair.id_l} was matched with {pair.id_r}, {pair.sep_arcsec:.2f} arcsec away, {pair.n_candidates} '
              'candidates')


def lost_stars(found, stars, named):
    "Print stars that are in both lists, and were not found"
    right = found[found.id_l == found.id_r].id_l
    for star in stars[stars.id.isin(named.id) & ~stars.id.isin(right)].itertuples():
        spelt = named[named.id == star.id].iloc[0]
        apart = coordinates(star).separation(coordinates(spelt)).arcsec
        print(f'    {star.id} was not found: its catalog position lies {apart:.2f} arcsec from the one its name spells')


def moved(stars):
    "The same stars at another epoch, by random proper motions"
    pmra, pmdec = np.random.default_rng(1).standard_t(3, (2, len(stars))) * REAL_PROPER_MOTION
    left, right = REAL_EPOCHS
    ra, dec = propagate(stars.ra, stars.dec, pmra, pmdec, left - right)
    return stars.assign(ra=ra, dec=dec, pmra=pmra, pmdec=pmdec)


def real(folder):
    "Print how right matches of real catalogs are, whose truth is known by name"
    stars, named = apokasc_stars(folder), named_stars(folder)
    print(f'\nreal catalogs: {len(stars):,} APOKASC stars, {len(named):,} stars whose 2MASS name spells a position; '
          'truth by name')
    both = stars.id.isin(named.id).sum()

    def show(what, found):
        how = judged(found.id_l.to_numpy(), found.id_r.to_numpy(), both)
        print(f'{what:48} recall {how["recall"]:.4f} precision {how["precision"]:.4f} ({how["pairs"]:,} pairs of '
              f'{both:,})')

    found = crossmatch(stars, named, RADIUS)
    show(f'as they are, {RADIUS:g} arcsec', found)
    show(f'as they are, {3 * RADIUS:g} arcsec', crossmatch(stars, named, 3 * RADIUS))
    wrong_pairs(found)
    lost_stars(found, stars, named)
    later = moved(stars)
    show('moved by 16 years, without propagation', crossmatch(later, named, RADIUS))
    show('moved by 16 years, with propagation', crossmatch(later, named, RADIUS, epochs=REAL_EPOCHS))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--left', type=int, default=733_901)
    parser.add_argument('--right', type=int, default=588_571)
    parser.add_argument('--pairs', type=int, default=41_940)
    parser.add_argument('--shared', type=Path, default=Path(__file__).parents[2] / 'shared' / 'data')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    parser.add_argument('--data', type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.data)
        return
    with tempfile.TemporaryDirectory() as folder:
        synthetic(given, Path(folder))
    if given.shared.is_dir():
        real(given.shared / 'catalogs')


if __name__ == '__main__':
    main()
