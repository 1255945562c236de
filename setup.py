"Package metadata, read from `settings.ini` so that there is one place to change it"
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = ('interop', 'hub', 'onnx', 'track', 'big', 'access', 'flows', 'explain', 'maps', 'explore', 'docs')
here = Path(__file__).parent
ini = ConfigParser(delimiters=['='])
ini.read(here/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']

# On a package index there is no repository beside the README: its links and pictures become whole addresses.
readme = (here/'README.md').read_text(encoding='utf-8')
readme = re.sub(r'(!\[[^\]]*\]\()(?!https?:)([^)]+)', rf"\1{cfg['git_url']}/raw/{cfg['branch']}/\2", readme)
readme = re.sub(r'(\]\()(?!https?:|#)([^)]+)', rf"\1{cfg['git_url']}/blob/{cfg['branch']}/\2", readme)

extras = {name: cfg[f'{name}_requirements'].split() for name in EXTRAS}
lessons = [requirement for name in EXTRAS if name != 'docs' for requirement in extras[name]]
extras['notebooks'] = cfg['notebooks_requirements'].split() + lessons
extras['dev'] = cfg['dev_requirements'].split() + extras['docs'] + extras['notebooks']  # `make lab`, too

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=readme,
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    project_urls={
        'Documentation': (site := cfg['doc_host']+cfg['doc_baseurl']),
        'Source': cfg['git_url'],
        'Issues': cfg['git_url']+'/issues',
        'Changelog': site+'/changelog.html',
        'Citation': site+'/citation.html',
    },
    license='Apache-2.0',
    license_files=['LICENSE', 'stellar_gen/assets/NOTICE.md'],
    keywords=cfg['keywords'].split(),
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3 :: Only',
        *(f'Programming Language :: Python :: 3.{v}' for v in (11, 12, 13)),
        'Framework :: Jupyter',
        'Natural Language :: English',
        'Operating System :: OS Independent',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Astronomy',
        'Typing :: Typed',
    ],
    packages=find_packages(include=['stellar_gen', 'stellar_gen.*']),
    package_data={'stellar_gen': ['assets/*', 'assets/*/*', 'web/*', 'py.typed', '*.mplstyle']},
    python_requires='>=' + cfg['min_python'],
    install_requires=cfg['requirements'].split(),
    extras_require=extras,
    entry_points={
        'console_scripts': cfg['console_scripts'].split(),
        'nbdev': ['stellar_gen=stellar_gen._modidx:d'],  # links to our pages, here and in other projects' documentation
    },
    zip_safe=False,
)
