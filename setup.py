"Package metadata, read from `settings.ini` so that there is one place to change it"
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=['='])
ini.read(here/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=(here/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    project_urls={'Documentation': cfg['doc_host']+cfg['doc_baseurl'], 'Source': cfg['git_url']},
    license='Apache-2.0',
    license_files=['LICENSE', 'stellar_gen/assets/NOTICE.md'],
    keywords=cfg['keywords'].split(),
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3 :: Only',
        *(f'Programming Language :: Python :: 3.{v}' for v in (11, 12, 13)),
        'Topic :: Scientific/Engineering :: Astronomy',
    ],
    packages=find_packages(include=['stellar_gen', 'stellar_gen.*']),
    package_data={'stellar_gen': ['assets/*', 'assets/*/*', 'py.typed']},
    python_requires='>=' + cfg['min_python'],
    install_requires=cfg['requirements'].split(),
    extras_require={**(extras := {k:cfg[f'{k}_requirements'].split() for k in ('interop','big','flows','explain','maps')}), 'dev': cfg['dev_requirements'].split() + sum(extras.values(), [])},
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': ['stellar_gen=stellar_gen._modidx:d']}, # nbdev: links to our pages, here and in other projects' documentation
    zip_safe=False,
)
