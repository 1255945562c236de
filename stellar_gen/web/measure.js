// As stellar_gen.measure.equivalent_width: a line between two wavelengths, against a continuum (P,).
function equivalentWidth(wave, flux, ivar, low, high, continuum, rest) {
    const C_KMS = 299792.458
    const FEWEST = 3
    const seen = []
    let missing = 0
    for (let i = 0; i < wave.length; i++) {
        if (wave[i] < low || wave[i] > high) continue
        if (ivar[i] > 0) seen.push(i)
        else missing++
    }
    if (seen.length < FEWEST) return null
    const at = seen.map(i => wave[i])
    const below = seen.map(i => 1 - flux[i] / continuum[i])
    const error = seen.map(i => 1 / Math.sqrt(ivar[i]) / continuum[i])
    const last = at.length - 1
    const shares = at.map((w, k) => ((k ? w - at[k - 1] : 0) + (k < last ? at[k + 1] - w : 0)) / 2)
    const sum = f => shares.reduce((total, share, k) => total + f(share, k), 0)
    const width = sum((share, k) => share * below[k])
    const centre = sum((share, k) => share * below[k] * at[k]) / width
    const e_width = Math.sqrt(sum((share, k) => (share * error[k]) ** 2))
    const e_centre = Math.sqrt(sum((share, k) => (share * error[k] * (at[k] - centre)) ** 2)) / Math.abs(width)
    const sign = Math.sign(width)
    let deepest = 0
    below.forEach((b, k) => { if (b * sign > below[deepest] * sign) deepest = k })
    return {
        width, e_width, depth: below[deepest], e_depth: error[deepest], centre, e_centre,
        velocity: rest ? (centre / rest - 1) * C_KMS : NaN, e_velocity: rest ? e_centre / rest * C_KMS : NaN,
        pixels: seen.length, missing,
    }
}

// The known line nearest to a wavelength, within 4 Å; null if there is none. A line of hydrogen that stands out more
// may be 300 km/s away.
function nearestLine(lines, middle) {
    const C_KMS = 299792.458
    const NEAR = 4, REACH = 300              // Å, km/s
    const ODD = 5                            // sigma
    let best = null
    lines.wave.forEach((wave, i) => {
        const off = Math.abs(wave - middle)
        if (off < NEAR && (best === null || off < Math.abs(lines.wave[best] - middle))) best = i
    })
    lines.wave.forEach((wave, i) => {
        const near = Math.abs(wave / middle - 1) * C_KMS < REACH
        const odd = Math.abs(lines.odd[i])
        if (!near || !lines.name[i].startsWith('H ') || odd < ODD) return
        if (best === null || odd > Math.abs(lines.odd[best])) best = i
    })
    return best === null ? null : { wave: lines.wave[best], name: lines.name[best] }
}

// What was measured, in one line.
function lineInWords(line, known) {
    if (line === null) return 'fewer than three pixels with information: drag over a wider stretch'
    const of = (value, error) => {
        const digits = Math.min(Math.max(1 - Math.floor(Math.log10(error)), 0), 6)
        return `${value.toFixed(digits)} ± ${error.toFixed(digits)}`
    }
    const named = known ? `${known.name} ${known.wave.toFixed(2)} Å: ` : ''
    const velocity = known ? `, velocity ${of(line.velocity, line.e_velocity)} km/s` : ''
    const missing = line.missing ? `, ${line.missing} pixels missing` : ''
    return `${named}width ${of(line.width, line.e_width)} Å, depth ${of(line.depth, line.e_depth)}, ` +
        `centre ${of(line.centre, line.e_centre)} Å${velocity}${missing}`
}

// A continuum (P,) that is `level` in the middle of the panel and leans by `tilt` towards its ends.
function leaning(wave, level, tilt) {
    const middle = (wave[0] + wave[wave.length - 1]) / 2
    const half = (wave[wave.length - 1] - wave[0]) / 2
    return Float32Array.from(wave, w => level + tilt * (w - middle) / half)
}
