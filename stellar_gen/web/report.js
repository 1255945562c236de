'use strict'
const page = JSON.parse(document.getElementById('page').textContent)
const spectra = JSON.parse(document.getElementById('spectra').textContent)
const $ = id => document.getElementById(id)
const BAR = 15  // CSS pixels of a scroll bar
const narrow = matchMedia('(max-width: 62rem)')
let parts      // Bokeh's models, by name
let current    // slot of the chosen star
let only       // slots that a lasso holds, while only they are shown
let kind = ''  // of the chip that is pressed
let live       // what a server does for a live page (explore.js); not in a report

// ------------------------------------------------------------------------------------------------ packed numbers
async function unpackBytes(text) {
    const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0))
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'))
    return new Uint8Array(await new Response(stream).arrayBuffer())
}

function fromHalf(bits) {  // a number of 16 bits, as IEEE 754 has it
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits >> 10) & 0x1f
    const fraction = bits & 0x3ff
    if (exponent === 0) return sign * fraction * 2 ** -24
    if (exponent === 31) return fraction ? NaN : sign * Infinity
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

// As stellar_gen.packed.unpack_spectrum.
async function unpackSpectrum(text) {
    const STEPS = 254, OF_SIGMA = 10, HEADER = 8
    const data = await unpackBytes(text)
    const view = new DataView(data.buffer)
    const low = view.getFloat32(0, true), high = view.getFloat32(4, true)
    const n = (data.length - HEADER) / 5
    const star = { flux: new Float64Array(n), ivar: new Float64Array(n), recon: new Float64Array(n) }
    let step = 0
    for (let i = 0; i < n; i++) {
        step = (step + data[HEADER + i]) & 0xff
        star.ivar[i] = step ? Math.exp(low + (step - 1) / STEPS * (high - low)) : 0
        const half = data[HEADER + n + i] | data[HEADER + 2 * n + i] << 8
        const zigzag = data[HEADER + 3 * n + i] | data[HEADER + 4 * n + i] << 8
        star.recon[i] = fromHalf(half)
        const residual = ((zigzag >> 1) ^ -(zigzag & 1)) / OF_SIGMA
        star.flux[i] = star.recon[i] + (step ? residual / Math.sqrt(star.ivar[i]) : 0)
    }
    return star
}

// ------------------------------------------------------------------------------------------------ the stars' table
const column = name => parts.source.data[name]
const stars = () => column('slot').length
const indexOf = slot => column('slot').indexOf(slot)
const idOf = i => column('apogee_id')[i]

function filter() {
    const word = $('word').value.trim().toLowerCase()
    const cause = $('cause').value
    const least = $('least').value === '' ? -Infinity : +$('least').value
    const flagged = $('flagged').checked
    const text = ['apogee_id', 'reason', 'kind', 'group'].map(column).filter(Boolean)
    const shown = Array.from({ length: stars() }, (_, i) => {
        if (word && !text.some(values => String(values[i]).toLowerCase().includes(word))) return false
        if (cause && column('cause')[i] !== cause) return false
        if (kind && column('kind')[i] !== kind) return false
        if (flagged && !column('flag')[i]) return false
        if (only && !only.has(column('slot')[i])) return false
        return least === -Infinity || column('anomaly')[i] >= least
    })
    parts.filter.booleans = shown
    live?.thin()
    const n = shown.filter(Boolean).length
    const all = page.total > stars() && !live ? `, the first of ${page.total.toLocaleString('en')} in rank` : ''
    $('count').textContent = `${n.toLocaleString('en')} of ${stars().toLocaleString('en')} stars${all}`
}

function choose(i) {
    if (i >= 0) parts.source.selected.indices = [i]
}

function tableOrder() {  // indices of the stars as the table shows them
    const view = Bokeh.index.find_one(parts.table)
    return view ? view.data.index : []
}

function step(by) {
    const order = tableOrder()
    const at = order.indexOf(indexOf(current))
    const next = order[Math.min(Math.max(at + by, 0), order.length - 1)]
    if (next !== undefined) choose(next)
}

// ------------------------------------------------------------------------------------------------ the chosen star
const SMALLEST_P = 1e-6  // as stellar_gen.anomaly.SMALLEST_P: a smaller p-value is not told
const FACTS = [
    ['rank', v => `rank ${v}`], ['anomaly', v => `anomaly ${v.toFixed(1)} sigma`], ['p_value', v => v < SMALLEST_P ? `p < ${SMALLEST_P.toExponential(0)}` : `p = ${v.toExponential(1)}`],
    ['snr', v => `S/N ${v.toFixed(0)}`], ['chi2', v => `reduced chi-square ${v.toFixed(2)}`], ['type', v => v],
    ['teff', v => `Teff ${v.toFixed(0)} K`], ['logg', v => `log g ${v.toFixed(2)}`], ['fe_h', v => `[Fe/H] ${v.toFixed(2)}`],
    ['group', v => v], ['nearest', v => `most like the normal stars ${v.split(' ').join(', ')}`],
]
const known = v => v !== '' && v !== null && v !== undefined && !Number.isNaN(v)

function link(address, words) {
    const a = document.createElement('a')
    a.href = address
    a.textContent = words
    a.rel = 'noopener noreferrer'
    a.target = '_blank'
    return a
}

function links(i) {
    const id = idOf(i), found = []
    const name = id.replace(/^(2M|AP)(?=\d)/, '')
    if (name !== id) {
        found.push(link(`https://simbad.cds.unistra.fr/simbad/sim-id?Ident=${encodeURIComponent('2MASS J' + name)}`, 'SIMBAD'))
        found.push(link(`https://dr17.sdss.org/infrared/spectrum/view/stars?apogee_id=${encodeURIComponent(id)}&action=search`, 'SDSS'))
    }
    if (column('ra') && known(column('ra')[i]) && known(column('dec')[i])) {
        const at = `${column('ra')[i].toFixed(5)} ${column('dec')[i].toFixed(5)}`
        found.push(link(`https://aladin.cds.unistra.fr/AladinLite/?target=${encodeURIComponent(at)}&fov=0.1`, 'Aladin'))
    }
    return found
}

function nameLines(wave, residual) {  // by the residual on all detectors
    const all = column => parts.lines.flatMap(lines => Array.from(lines.data[column]))
    const odd = oddness({ wave: all('wave'), name: all('name') }, wave, residual)
    for (const lines of parts.lines) lines.data = { ...lines.data, odd: odd.splice(0, lines.data.name.length) }
}

function setStar(star, other) {
    const CUT = 10
    let low = Infinity, high = -Infinity
    const sorted = [], waves = [], residuals = []
    parts.pixels.forEach(([first, last], k) => {
        const source = parts.stars[k]
        const cut = values => values.slice(first, last)
        const ivar = cut(star.ivar), recon = cut(star.recon)
        const flux = cut(star.flux).map((f, i) => ivar[i] > 0 ? f : NaN)
        const error = ivar.map(w => w > 0 ? 1 / Math.sqrt(w) : NaN)
        const residual = flux.map((f, i) => (f - recon[i]) / error[i])
        for (const values of [flux, recon]) for (const v of values) if (Number.isFinite(v)) sorted.push(v)
        const wave = source.data.wave
        source.data = {
            wave, flux, ivar, recon, continuum: leaning(wave, +$('level').value, +$('tilt').value),
            sigma: residual.map(r => Math.min(Math.max(r, -CUT), CUT)),
            low: flux.map((f, i) => f - error[i]), high: flux.map((f, i) => f + error[i]),
            masked: ivar.map(w => w > 0 ? NaN : -1.04 * CUT),
            other: other ? other.flux.slice(first, last).map((f, i) => other.ivar[first + i] > 0 ? f : NaN) : flux.map(() => NaN),
        }
        waves.push(...wave)
        residuals.push(...residual)
    })
    nameLines(waves, residuals)
    sorted.sort((a, b) => a - b)
    low = sorted[Math.floor(.001 * (sorted.length - 1))] - .05
    high = sorted[Math.ceil(.999 * (sorted.length - 1))] + .05
    high += .15 * (high - low)  // for the names of lines
    Object.assign(parts.fluxRange, { start: low, end: high, reset_start: low, reset_end: high })
    fade()
    forgetMeasured()
}

function fade() {
    const element = $('element').value
    parts.lines.forEach((lines, k) => {
        lines.tags = [element]
        fadeLines(lines, parts.panels[k].x_range, parts.panels[k].y_range, element)
    })
}

async function draw() {  // the spectrum of the chosen star, with another one laid over
    const asked = current, other = $('other').value
    if (live) for (const row of [column('row')[indexOf(asked)], other]) live.want(row)
    const packed = spectra[column('row')[indexOf(asked)]]
    if (!packed) return  // it is on its way
    const star = await unpackSpectrum(packed)
    const over = spectra[other] ? await unpackSpectrum(spectra[other]) : null
    if (asked !== current || other !== $('other').value) return  // another one was chosen meanwhile
    setStar(star, over)
    $('other-name').textContent = over ? $('other').selectedOptions[0].textContent : ''
}

function nearest(i) {  // stars with spectra, nearest in the latents
    const MOST = 6
    const latents = Object.keys(parts.source.data).filter(name => /^z\d+$/.test(name)).map(column)
    const far = k => latents.reduce((sum, z) => sum + (z[k] - z[i]) ** 2, 0)
    return [...Array(stars()).keys()].filter(k => k !== i && spectra[column('row')[k]] && Number.isFinite(far(k)))
        .sort((a, b) => far(a) - far(b)).slice(0, MOST)
}

function offer(i) {  // what may be laid over
    const select = $('other')
    select.replaceChildren(new Option('nothing', ''))
    for (const k of nearest(i)) select.add(new Option(`${idOf(k)}, rank ${column('rank')[k]}`, column('row')[k]))
}

function showStar(i) {
    current = column('slot')[i]
    const row = column('row')[i]
    $('name').textContent = idOf(i)
    $('facts').textContent = FACTS.filter(([name]) => column(name) && known(column(name)[i]))
        .map(([name, words]) => words(column(name)[i])).join(', ')
    const cause = column('cause')[i]
    $('reason').textContent = (cause ? `${cause}: ` : '') + column('reason')[i]
    $('links').replaceChildren(...links(i).flatMap(a => [a, ' ']))
    const packed = spectra[row] !== undefined || live !== undefined
    $('with').hidden = !packed
    $('without').hidden = packed
    if (live) live.shown(row)
    else offer(i)
    if (packed) draw()
    else {
        for (const [id, name] of [['thumb', 'thumb'], ['thumb-model', 'thumb_model'], ['thumb-sigma', 'thumb_sigma']])
            $(id).setAttribute('d', column(name)[i])
        $('command').textContent = page.command + ' ' + row
    }
    showVote()
    if (live) live.remember(row, idOf(i))
    else if (location.protocol !== 'about:') history.replaceState(null, '', `#row=${row}`)  // a page in a cell has no address
}

function onChoice() {
    const chosen = parts.source.selected.indices
    $('lasso').hidden = chosen.length < 2
    $('lasso-count').textContent = `${chosen.length} stars are chosen`
    if (chosen.length === 1 && column('slot')[chosen[0]] !== current) showStar(chosen[0])
}

// ------------------------------------------------------------------------------------------------ measuring
function measuring(on) {
    $('measure').setAttribute('aria-pressed', on)
    $('continuum').hidden = !on
    parts.measure.forEach(tool => { tool.active = on })
    parts.zoom.forEach(tool => { tool.active = !on && !touch() })
    parts.panels.forEach(panel => {
        for (const renderer of panel.renderers) if (renderer.name === 'continuum') renderer.visible = on
    })
    if (!on) forgetMeasured()
}

function forgetMeasured() {
    $('measured').textContent = ''
    for (const model of parts.said) model.visible = false
    for (const model of parts.stretches) model.visible = false
}

function nudge() {
    for (const star of parts.stars) {
        star.data = { ...star.data, continuum: leaning(star.data.wave, +$('level').value, +$('tilt').value) }
    }
    parts.stretches.forEach((stretch, k) => {
        if (!stretch.visible) return
        const star = parts.stars[k].data
        const near = nearestLine(parts.lines[k].data, (stretch.left + stretch.right) / 2)
        const line = equivalentWidth(star.wave, star.flux, star.ivar, stretch.left, stretch.right, star.continuum, near ? near.wave : null)
        parts.said[k].text = lineInWords(line, near)
    })
}

// ------------------------------------------------------------------------------------------------ votes
const KEY = `stellar_gen votes ${page.key}`
let votes = new Map()  // row: 0 or 1

function readVotes() {
    for (const [row, vote] of page.votes) votes.set(row, vote)
    if (live) return  // the server keeps them
    try {
        const kept = JSON.parse(localStorage.getItem(KEY))
        if (kept) votes = new Map(kept)
    } catch { say('This browser keeps no votes: save them as a file.') }
}

function keepVotes() {
    try { localStorage.setItem(KEY, JSON.stringify([...votes])) } catch { say('This browser keeps no votes: save them as a file.') }
}

function vote(value) {
    const i = indexOf(current)
    if (i < 0) return
    const row = column('row')[i]
    if (live) return live.vote(row, votes.get(row) === value ? null : value)
    if (votes.get(row) === value) votes.delete(row)
    else votes.set(row, value)
    keepVotes()
    rank()
    showVote()
}

function showVote() {
    const i = indexOf(current)
    const value = i < 0 ? undefined : votes.get(column('row')[i])
    $('more').setAttribute('aria-pressed', value === 1)
    $('less').setAttribute('aria-pressed', value === 0)
    $('votes').textContent = votes.size ? `${votes.size} vote${votes.size === 1 ? '' : 's'}, by which the stars are ranked` : 'no votes yet'
}

// How probably each star is wanted (N,), as stellar_gen.report.rerank: logistic regression by Newton's steps.
function wanted(x, n, vote) {
    const C = 0.1, WEIGHTLESS = 3, STEPS = 30, SMALL = 1e-9
    const d = x.length / n + 1  // with a constant
    const at = (i, k) => k < d - 1 ? x[i * (d - 1) + k] : 1
    const beta = new Float64Array(d)
    const share = i => {
        let sum = 0
        for (let k = 0; k < d; k++) sum += beta[k] * at(i, k)
        return 1 / (1 + Math.exp(-sum))
    }
    for (let round = 0; round < STEPS; round++) {
        const gradient = new Float64Array(d), hessian = Array.from({ length: d }, () => new Float64Array(d))
        for (let i = 0; i < n; i++) {
            const p = share(i)
            // every star enters with a small weight on both sides; one with a vote also as what it was voted
            const small = WEIGHTLESS / n
            let pull = small * (2 * p - 1), weight = 2 * small
            if (vote[i] === vote[i]) {
                pull += p - vote[i]
                weight += 1
            }
            weight *= p * (1 - p)
            for (let k = 0; k < d; k++) {
                const v = at(i, k)
                gradient[k] += C * pull * v
                for (let l = 0; l <= k; l++) hessian[k][l] += C * weight * v * at(i, l)
            }
        }
        for (let k = 0; k < d - 1; k++) {
            gradient[k] += beta[k]
            hessian[k][k] += 1
        }
        const change = solve(hessian, gradient)
        let largest = 0
        change.forEach((c, k) => {
            beta[k] -= c
            largest = Math.max(largest, Math.abs(c))
        })
        if (largest < SMALL) break
    }
    return Float64Array.from({ length: n }, (_, i) => share(i))
}

// Solution of a positive definite system, of which the lower triangle is given, by Cholesky's factors.
function solve(a, b) {
    const n = b.length, x = Float64Array.from(b)
    for (let i = 0; i < n; i++) {
        for (let j = 0; j <= i; j++) {
            let sum = a[i][j]
            for (let k = 0; k < j; k++) sum -= a[i][k] * a[j][k]
            a[i][j] = i === j ? Math.sqrt(sum) : sum / a[j][j]
        }
    }
    for (let i = 0; i < n; i++) {
        for (let k = 0; k < i; k++) x[i] -= a[i][k] * x[k]
        x[i] /= a[i][i]
    }
    for (let i = n - 1; i >= 0; i--) {
        for (let k = i + 1; k < n; k++) x[i] -= a[k][i] * x[k]
        x[i] /= a[i][i]
    }
    return x
}

let features  // (N,d), in the order of slots

function interests() {  // (N,), by slot
    const n = stars(), anomaly = new Float64Array(n), vote = new Float64Array(n).fill(NaN)
    for (let i = 0; i < n; i++) {
        const slot = column('slot')[i]
        anomaly[slot] = Number.isNaN(column('anomaly')[i]) ? -Infinity : column('anomaly')[i]
        const given = votes.get(column('row')[i])
        if (given !== undefined) vote[slot] = given
    }
    if (vote.every(Number.isNaN)) return anomaly
    return wanted(features, n, vote).map((p, i) => anomaly[i] > 0 ? 2 * p * anomaly[i] : anomaly[i])
}

function rank() {
    const interest = interests()
    const slots = column('slot')
    arrange([...slots.keys()].sort((a, b) => interest[slots[b]] - interest[slots[a]] || slots[a] - slots[b]))
}

function arrange(order) {  // the stars, by their indices
    const data = {}
    for (const [name, values] of Object.entries(parts.source.data)) {
        const moved = order.map(i => values[i])
        data[name] = Array.isArray(values) ? moved : values instanceof Int32Array ? Int32Array.from(moved) : Float32Array.from(moved)
    }
    data.rank = Float32Array.from(order, (_, k) => k + 1)
    data.vote = order.map(i => ({ 1: '+', 0: '−' })[votes.get(parts.source.data.row[i])] ?? '')
    replaceStars(data)
}

function replaceStars(data) {  // the same ones stay chosen
    const slots = column('slot'), places = new Map(Array.from(data.slot, (slot, i) => [slot, i]))
    const selected = parts.source.selected.indices.map(i => places.get(slots[i])).filter(i => i !== undefined)
    parts.filter.booleans = null
    live?.all()
    parts.source.data = data
    parts.source.selected.indices = selected
    filter()
    if (current !== undefined) {
        const i = indexOf(current)
        $('facts').textContent = $('facts').textContent.replace(/rank \d+/, `rank ${column('rank')[i]}`)
    }
}

// ------------------------------------------------------------------------------------------------ files
const quoted = text => `"${String(text).replaceAll('"', '""')}"`

function save(name, lines) {
    const a = document.createElement('a')
    a.href = URL.createObjectURL(new Blob([lines.join('\n') + '\n'], { type: 'text/csv' }))
    a.download = name
    a.click()
    setTimeout(() => URL.revokeObjectURL(a.href), 1000)
}

function saveVotes() {
    const lines = ['apogee_id,row,vote']
    for (let i = 0; i < stars(); i++) {
        const row = column('row')[i]
        if (votes.has(row)) lines.push(`${quoted(idOf(i))},${row},${votes.get(row)}`)
    }
    save('votes.csv', lines)
}

function saveChosen() {
    const lines = ['apogee_id,row,rank,anomaly']
    for (const i of parts.source.selected.indices) {
        lines.push(`${quoted(idOf(i))},${column('row')[i]},${column('rank')[i]},${column('anomaly')[i]}`)
    }
    save('stars.csv', lines)
}

function parseCsv(text) {
    const rows = [[]]
    for (const [, cell, end] of text.replace(/\r\n?/g, '\n').matchAll(/("(?:[^"]|"")*"|[^",\n]*)(,|\n|$)/g)) {
        rows.at(-1).push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell)
        if (end === '\n') rows.push([])
        if (end === '') break
    }
    return rows.filter(row => row.length > 1 || row[0])
}

async function loadVotes(file) {
    const [head, ...rows] = parseCsv(await file.text())
    const [id, row, value] = ['apogee_id', 'row', 'vote'].map(name => (head ?? []).indexOf(name))
    if (id < 0 || value < 0) return say(`${file.name}: has no columns apogee_id and vote`)
    if (rows.some(cells => !['0', '1'].includes(cells[value]))) return say(`${file.name}: a vote is 0 or 1`)
    let lost = 0
    const changes = []
    const rowsOf = new Map()
    for (let i = 0; i < stars(); i++) {
        const name = idOf(i)
        rowsOf.set(name, [...rowsOf.get(name) ?? [], column('row')[i]])
    }
    for (const cells of rows) {
        const here = rowsOf.get(cells[id]) ?? []
        const meant = row >= 0 && here.includes(+cells[row]) ? [+cells[row]] : here
        if (!meant.length) lost++
        for (const r of meant) changes.push([r, +cells[value]])
    }
    const told = lost ? `${file.name}: ${lost} of ${rows.length} votes are for stars that are not on this page` : ''
    if (live) {
        say(told)
        return live.votes(changes)
    }
    for (const [r, v] of changes) votes.set(r, v)
    keepVotes()
    rank()
    showVote()
    say(told)
}

const say = text => { $('message').textContent = text }

// ------------------------------------------------------------------------------------------------ looks
const touch = () => matchMedia('(pointer: coarse)').matches

const glyphs = dots => [dots.glyph, dots.nonselection_glyph, dots.selection_glyph]

function look(name) {
    const at = page.colours.indexOf(name)
    const { color, line, marker } = parts.looks[at]
    const legend = page.legends?.[at] ?? parts.looks[at].legend
    for (const figure of [parts.left, parts.right]) {
        const dots = figure.renderers.find(r => r.name === 'dots')
        for (const glyph of glyphs(dots)) glyph.setv({ fill_color: color, line_color: line, marker })
    }
    $('legend').replaceChildren(...legend.map(([colour, symbol, words]) => {
        const span = document.createElement('span'), mark = document.createElement('span')
        mark.style.color = colour
        mark.textContent = symbol + ' '
        span.append(mark, words)
        return span
    }))
}

function plane(figure, name, stay = false) {  // `stay`: where one has zoomed to
    const p = page.planes[name]
    if (!p) return
    const dots = figure.renderers.find(r => r.name === 'dots')
    for (const glyph of glyphs(dots)) glyph.setv({ x: { field: p.x }, y: { field: p.y } })
    const range = (r, [start, end]) => {
        const zoomed = stay && (r.start !== r.reset_start || r.end !== r.reset_end)
        r.setv(zoomed ? { reset_start: start, reset_end: end } : { start, end, reset_start: start, reset_end: end })
    }
    range(figure.x_range, p.x_range)
    range(figure.y_range, p.y_range)
    figure.below[0].axis_label = p.x_label
    figure.left[0].axis_label = p.y_label
    live?.moved(figure)
}

const WANTED = ['rank', 'apogee_id', 'anomaly', 'kind', 'p_value', 'vote', 'snr', 'chi2', 'cause', 'group', 'type', 'teff', 'reason']

function columns() {  // those that are whole: the most wanted first, fewer on a telephone
    let room = document.querySelector('.part.table').clientWidth - (narrow.matches ? 0 : BAR)
    const shown = new Set()
    for (const field of WANTED) {
        const c = parts.table.columns.find(c => c.field === field)
        if (c && c.width <= room) {
            shown.add(field)
            room -= c.width
        }
    }
    for (const c of parts.table.columns) c.visible = shown.has(c.field)
    parts.table.height = narrow.matches ? 340 : 640
}

// ------------------------------------------------------------------------------------------------ beginning
function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return
    const act = {
        j: () => step(1), k: () => step(-1), '+': () => vote(1), '-': () => vote(0), '/': () => $('word').focus(),
        m: () => measuring($('measure').getAttribute('aria-pressed') !== 'true'), '?': () => $('help').showModal(),
        n: live && live.walk,
    }[event.key]
    if (!act) return
    event.preventDefault()
    act()
}

function listen() {
    for (const id of ['word', 'cause', 'least', 'flagged']) $(id).addEventListener('input', filter)
    $('filters').addEventListener('submit', event => event.preventDefault())
    $('filters').addEventListener('reset', () => setTimeout(() => {
        only = undefined
        press('')
    }))
    document.addEventListener('click', event => {  // buttons that come and go
        const chip = event.target.closest('.chip'), star = event.target.closest('.oddity')
        if (chip) press(chip.dataset.kind === kind ? '' : chip.dataset.kind)
        if (!star) return
        choose(column('row').indexOf(+star.dataset.row))
        $('star').scrollIntoView({ behavior: 'smooth', block: 'start' })
    })
    document.querySelectorAll('select.plane').forEach(select => select.addEventListener('input', () =>
        plane(parts[select.dataset.figure], select.value)))
    $('colour').addEventListener('input', () => look($('colour').value))
    $('element').addEventListener('input', fade)
    $('other').addEventListener('input', draw)
    $('errors').addEventListener('input', () => parts.panels.forEach(panel => {
        for (const renderer of panel.renderers) if (renderer.name === 'errors') renderer.visible = $('errors').checked
    }))
    $('measure').addEventListener('click', () => measuring($('measure').getAttribute('aria-pressed') !== 'true'))
    for (const id of ['level', 'tilt']) $(id).addEventListener('input', nudge)
    $('more').addEventListener('click', () => vote(1))
    $('less').addEventListener('click', () => vote(0))
    $('save').addEventListener('click', saveVotes)
    $('load').addEventListener('change', async () => {
        if ($('load').files[0]) await loadVotes($('load').files[0])
        $('load').value = ''
    })
    $('clear')?.addEventListener('click', () => {
        votes.clear()
        keepVotes()
        rank()
        showVote()
    })
    $('copy')?.addEventListener('click', () => navigator.clipboard.writeText($('command').textContent))
    $('lasso-only').addEventListener('click', () => {
        only = new Set(parts.source.selected.indices.map(i => column('slot')[i]))
        filter()
    })
    $('lasso-save')?.addEventListener('click', saveChosen)
    $('lasso-clear').addEventListener('click', () => {
        parts.source.selected.indices = []
        only = undefined
        filter()
    })
    $('help-open').addEventListener('click', () => $('help').showModal())
    $('theme').addEventListener('click', () =>
        paint(parts.document, document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'))
    document.addEventListener('keydown', onKey)
    addEventListener('resize', columns)
    parts.said.forEach(label => label.properties.text.change.connect(() => { $('measured').textContent = label.text }))
    parts.source.selected.properties.indices.change.connect(onChoice)
}

function press(name) {
    kind = name
    document.querySelectorAll('.chip').forEach(chip => chip.setAttribute('aria-pressed', chip.dataset.kind === name))
    filter()
}

async function startReport(models) {
    parts = models
    if (page.features) {
        const halves = await unpackBytes(page.features)
        const bits = new Uint16Array(halves.buffer)
        features = Float64Array.from(bits, fromHalf)
    }
    followTheme(parts.document)
    if (touch()) for (const tool of [...parts.zoom, ...parts.drags]) tool.active = false
    columns()
    listen()
    look($('colour').value)
    readVotes()
    if (votes.size && !live) rank()
    filter()
    const asked = live ? live.asked() : new URLSearchParams(location.hash.slice(1)).get('row')
    const first = asked === null ? 0 : Math.max(column('row').indexOf(+asked), 0)
    if (stars()) choose(first)
    showVote()
    document.documentElement.dataset.ready = 'yes'
}
