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

// How far the residual around each line is from zero, in sigma: over seven pixels.
function oddness(waves, wave, sigma) {
    const HALF = 3
    return Array.from(waves, line => {
        let at = 0, high = wave.length
        while (at < high) {
            const middle = (at + high) >> 1
            if (wave[middle] < line) at = middle + 1
            else high = middle
        }
        if (at <= 0 || at >= wave.length) return 0
        let sum = 0
        for (let k = Math.max(at - HALF, 0); k <= Math.min(at + HALF, wave.length - 1); k++)
            if (Number.isFinite(sigma[k])) sum += sigma[k]
        return sum / Math.sqrt(2 * HALF + 1)
    })
}
