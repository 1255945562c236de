// Names of lines: where the residual is large always, the others as one zooms in, all of an element that is asked for.
// `lines` has the columns wave, name, odd (sigma), and those that are set here: alpha, text, y.
function fadeLines(lines, xRange, yRange, element) {
    const FADE_FROM = 120, FADE_TO = 40      // Å of the panel's width: no other lines, and all of them
    const ODD = 5                            // sigma
    const LABELS = 40                        // that fit side by side
    const MOST = 8                           // that are named in a panel before one zooms in
    const { wave, name, odd } = lines.data
    const left = Math.min(xRange.start, xRange.end)
    const span = Math.abs(xRange.end - xRange.start)
    const zoomed = Math.min(Math.max((FADE_FROM - span) / (FADE_FROM - FADE_TO), 0), 1)
    const n = wave.length
    const alpha = new Array(n).fill(0)
    const text = new Array(n).fill('')
    const taken = []
    const order = [...Array(n).keys()].sort((a, b) => Math.abs(odd[b]) - Math.abs(odd[a]))
    let named = 0
    for (const i of order) {
        if (wave[i] < left || wave[i] > left + span) continue
        if (element) alpha[i] = name[i].split(' ')[0] === element ? 1 : 0
        else alpha[i] = Math.abs(odd[i]) > ODD && named < MOST ? 1 : zoomed
        named++
        if (alpha[i] && taken.every(at => Math.abs(at - wave[i]) > span / LABELS)) {
            text[i] = name[i]
            taken.push(wave[i])
        }
    }
    const y = new Array(n).fill(yRange.end)
    lines.data = { ...lines.data, alpha, text, y }
}

// As stellar_gen.views.line_residuals: how far the residual around each line is from zero, in sigma.
function oddness(lines, wave, sigma) {
    const C_KMS = 299792.458
    const HALF = 3, WIDE = 12                // pixels on either side of a line, and of a line of hydrogen
    const REACH = 300, STEP = 10             // km/s, by which lines of hydrogen may be moved
    const COVERS = 400, OUTSHONE = 2         // km/s around hydrogen; times as significant must another line be there
    const SHOWS = 5                          // sigma, that half of them exceed where they are there
    const around = (line, half) => {
        let at = 0, high = wave.length
        while (at < high) {
            const middle = (at + high) >> 1
            if (wave[middle] < line) at = middle + 1
            else high = middle
        }
        at = Math.min(at, wave.length - 1)
        let sum = 0
        for (let k = Math.max(at - half, 0); k <= Math.min(at + half, wave.length - 1); k++)
            if (Number.isFinite(sigma[k])) sum += sigma[k]
        return sum / Math.sqrt(2 * half + 1)
    }
    const hydrogen = [...lines.name.keys()].filter(i => lines.name[i].startsWith('H '))
    let wide = [], most = -1
    for (let velocity = -REACH; velocity <= REACH; velocity += STEP) {
        const odd = hydrogen.map(i => around(lines.wave[i] * (1 + velocity / C_KMS), WIDE))
        const together = Math.abs(median(odd))
        if (together > most) [wide, most] = [odd, together]
    }
    const found = Array.from(lines.wave, line => around(line, HALF))
    if (!(most > SHOWS)) return found
    hydrogen.forEach((i, k) => found[i] = wide[k])
    for (const i of hydrogen) {
        lines.name.forEach((name, k) => {
            const near = Math.abs(lines.wave[k] / lines.wave[i] - 1) * C_KMS < COVERS
            if (near && !name.startsWith('H ') && Math.abs(found[k]) < OUTSHONE * Math.abs(found[i])) found[k] = 0
        })
    }
    return found
}

function median(values) {
    const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}
