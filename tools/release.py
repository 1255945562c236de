"""Give the next release its version and date, wherever they are written

    tools/release.py 0.2.0                   # from today on; "Unreleased" of CHANGELOG.md becomes this version
    tools/release.py 0.2.0 --date 2027-01-31
    tools/release.py --check [v0.2.0]        # whether all places agree, also with a tag
    tools/release.py --notes                 # what CHANGELOG.md says of this version

Nothing is published: that is what the workflow `release` does with a tag.
"""
import argparse
import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.resolve()
VERSIONS = {  # Where the version stands, by file
    'settings.ini': r'^version = (.+)$',
    'stellar_gen/__init__.py': r'^__version__ = "(.+)"$',
    'CITATION.cff': r'^version: (.+)$',
    'nbs/citation.qmd': r'^  version = \{(.+)\},$',
    'codemeta.json': r'^  "version": "(.+)",$',
    '.zenodo.json': r'^  "version": "(.+)",$',
    'conda/recipe.yaml': r'^  version: "(.+)"$',
}
DATES = {  # Where the day of the release stands
    'CITATION.cff': r'^date-released: (.+)$',
    'codemeta.json': r'^  "date(?:Published|Modified)": "(.+)",$',
    '.zenodo.json': r'^  "publication_date": "(.+)",$',
}
NEXT = '## Unreleased'


def stated(
    root: Path,              # Of the repository
    places: dict[str, str],  # Pattern by file, with the value as its group
) -> dict[str, list[str]]:   # All values by file; none where the pattern is not found
    "What the files say"
    return {name: re.findall(pattern, (root / name).read_text(encoding='utf-8'), re.M)
            for name, pattern in places.items()}


def disagreements(
    root: Path,              # Of the repository
    version: str = '',       # That is expected; that of settings.ini if empty
) -> list[str]:              # A line for each place that says otherwise
    "Where version and date are not what they are elsewhere"
    versions, dates = stated(root, VERSIONS), stated(root, DATES)
    version = version or versions['settings.ini'][0]
    day = dates['CITATION.cff'][:1]
    wrong = [f'{name}: version {", ".join(found) or "missing"}, not {version}'
             for name, found in versions.items() if found != [version]]
    wrong += [f'{name}: date {", ".join(found) or "missing"}, not {", ".join(day)}'
              for name, found in dates.items() if not found or set(found) != set(day)]
    if not notes(root, version):
        wrong.append(f'CHANGELOG.md: nothing about {version}')
    return wrong


def notes(
    root: Path,              # Of the repository
    version: str,            # Of the release
) -> str:                    # In Markdown, without the heading; empty if there is none
    "What CHANGELOG.md says of a version"
    text = (root / 'CHANGELOG.md').read_text(encoding='utf-8')
    found = re.search(rf'^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)', text, re.M | re.S)
    return found[1].strip() if found else ''


def write(
    root: Path,              # Of the repository
    places: dict[str, str],  # Pattern by file, with the value as its group
    value: str,              # That is to stand there
) -> None:
    "Put a value in all its places"
    for name, pattern in places.items():
        text = (root / name).read_text(encoding='utf-8')
        new = re.sub(pattern, lambda found: found[0].replace(found[1], value), text, flags=re.M)
        (root / name).write_text(new, encoding='utf-8')


def prepare(
    root: Path,              # Of the repository
    version: str,            # Of the release
    day: str,                # Of the release, year-month-day
) -> None:
    "Write version and date everywhere, and name the section of CHANGELOG.md"
    path = root / 'CHANGELOG.md'
    text = path.read_text(encoding='utf-8')
    if not notes(root, version):
        path.write_text(re.sub(rf'^{NEXT}$', f'## {version}', text, count=1, flags=re.M), encoding='utf-8')
    write(root, VERSIONS, version)
    write(root, DATES, day)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('version', nargs='?', default='', help='such as 0.2.0; a tag has a v before it')
    parser.add_argument('--date', default=str(datetime.date.today()), help='year-month-day; today if not given')
    parser.add_argument('--check', action='store_true', help='change nothing, and fail if places disagree')
    parser.add_argument('--notes', action='store_true', help='print what CHANGELOG.md says of the version')
    given = parser.parse_args()
    version = given.version.removeprefix('v')
    if version and not re.fullmatch(r'\d+\.\d+\.\d+', version):
        sys.exit(f'{given.version}: is no version; write three numbers, such as 0.2.0')
    if given.notes:
        print(notes(ROOT, version or stated(ROOT, VERSIONS)['settings.ini'][0]))
        return
    if not given.check:
        if not version:
            parser.error('name the version of the release')
        prepare(ROOT, version, given.date)
    sys.exit('\n'.join(disagreements(ROOT, version)) or 0)


if __name__ == '__main__':
    main()
