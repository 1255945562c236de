"Paths in the archive: ours are those of the SDSS's own package, sdss_access, where it is installed"
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pandas as pd
import pytest

STAR = dict(
    apogee_id='2M17335483-2753043', telescope='apo25m', field='000+02', location_id=4330, plate='5815', mjd=56396, fiberid=12,
    sdss_id=54392544,
)
STARS = {
    'north': STAR,
    'south': STAR | dict(telescope='lco25m'),
    'one metre': STAR | dict(telescope='apo1m', field='hip', location_id=1, file='apStar-r8-VESTA.fits', reduction_id='VESTA'),
}
CASES = [
    *[(release, kind) for release in (14, 15, 16, 17) for kind in ('apStar', 'aspcapStar', 'apVisit')],
    (19, 'mwmStar'), (19, 'mwmVisit'),
]
UNKNOWN = [(14, 'apVisit'), (15, 'apVisit')]  # of the one-metre telescope
ASK = """
import json, sys
from sdss_access.path import Path
for release, kind, words in json.loads(sys.argv[1]):
    print(json.dumps(Path(release=f'dr{release}').location(kind, **words)))
"""


def words(star, release):
    "What sdss_access asks for, in its own words"
    versions = {
        14: dict(apred='r8', apstar='stars', aspcap='l31c', results='l31c.2'),
        16: dict(apred='r12', apstar='stars', aspcap='l33'),
        17: dict(apred='dr17', apstar='stars', aspcap='synspec_rev1'),
        19: dict(v_astra='0.6.0'),
    }
    by_number = release in (14, 15) and star['telescope'] != 'apo1m'
    return versions[14 if release == 15 else release] | dict(
        prefix='as' if star['telescope'] == 'lco25m' else 'ap',
        field=str(star['location_id']) if by_number else star['field'],
        location=star['location_id'], obj=star['apogee_id'], reduction=star.get('reduction_id', ''), fiber=star['fiberid'],
        telescope=star['telescope'], plate=star['plate'], mjd=star['mjd'], sdss_id=star['sdss_id'],
    )


def rule(release, kind, where):
    "Name of the rule for a file"
    return f'{kind}-1m' if where == 'one metre' and release < 19 else kind


@pytest.fixture(scope='module')
def theirs(tmp_path_factory):
    "Where sdss_access says that each file is; in a process of its own, because it changes the environment"
    if find_spec('sdss_access') is None:
        pytest.skip("sdss_access is not installed: pip install 'stellar_gen[access]'")
    cases = [(*case, where) for case in CASES for where in STARS if where != 'one metre' or case not in UNKNOWN]
    asked = [[release, rule(release, kind, where), words(STARS[where], release)] for release, kind, where in cases]
    environment = os.environ | dict(SAS_BASE_DIR=str(tmp_path_factory.mktemp('sas')))
    command = [sys.executable, '-c', ASK, json.dumps(asked)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = done.stdout.splitlines()[-len(cases):]
    return {case: json.loads(answer) for case, answer in zip(cases, answers, strict=True)}


@pytest.mark.parametrize('release, kind', CASES)
@pytest.mark.parametrize('where', STARS)
def test_paths_are_those_of_sdss_access(theirs, release, kind, where):
    "Whichever rules are taken; only the names of DR14's aspcapStar files lack the reduction in theirs"
    from stellar_gen.archive import sas_paths
    if where == 'one metre' and (release, kind) in UNKNOWN:
        pytest.skip('sdss_access has no rule for these, and stellar_gen says so')
    expected = theirs[release, kind, where].replace('aspcapStar-l31c.2-', 'aspcapStar-r8-l31c.2-')
    for rules in ('stellar_gen', 'sdss_access'):
        assert sas_paths(pd.DataFrame([STARS[where]]), kind, release, rules) == [expected]
