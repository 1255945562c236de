// The live page: what the report's script leaves to a server.
const SLOW = 400     // milliseconds, after which a page says that it waits
const MOST_KEPT = 300  // spectra that the page keeps
const LARGEST = 100e6  // bytes of a file
const MOST_DRAWN = 5000  // stars on a map
const CALM = 120       // milliseconds without a move, after which a map is drawn anew
let asked, told      // Bokeh's models with a text each: one goes to the server, the other comes from it
let arrived          // Bokeh's source that brings the stars
let asking = 0       // questions asked so far
const awaited = new Set()     // rows whose spectra are on their way
const looked = new Map()     // thumbnails by row: three paths
const neighbours = new Map() // rows of the stars like one, by its row
const seen = new Set()       // rows of stars that were looked at
let pressed = ''             // row that a server that is asked for more leads to

const ask = (what, words) => { asked.value = JSON.stringify({ what, ...words, number: ++asking }) }
const tell = text => { $('said').textContent = text }
const rowAt = row => column('row').indexOf(row)

live = {
    here() { ask('here', { stars: stars() }) },
    want(row) {
        if (row === '' || row === 'made' || spectra[row] !== undefined || awaited.has(+row)) return
        awaited.add(+row)
        ask('star', { row: +row })
    },
    shown(row) {
        seen.add(row)
        $('with').classList.toggle('waiting', spectra[row] === undefined)
        showAlike(row)
        if (!neighbours.has(row)) ask('alike', { row })
    },
    remember(row, id) {
        const address = new URL(location.href)
        address.searchParams.set('star', id)
        address.searchParams.set('row', row)
        history.replaceState(null, '', address)
    },
    asked() {
        const words = new URLSearchParams(location.search), id = words.get('star'), row = words.get('row')
        if (id === null) return row
        const rows = Array.from(column('row')).filter((_, i) => idOf(i) === id)
        if (!rows.length) tell(`${id}: is not among the stars that are scored`)
        return rows.includes(+row) ? row : rows[0] ?? null
    },
    vote(row, vote) {
        live.votes([[row, vote]])
        if (vote === null) votes.delete(row)  // at once; the order follows from the server
        else votes.set(row, vote)
        showVote()
    },
    votes: votes => ask('votes', { votes }),
    walk() {
        const next = (neighbours.get(column('row')[indexOf(current)]) ?? []).find(row => !seen.has(row))
        if (next === undefined) return tell('All stars like this one have been looked at.')
        choose(rowAt(next))
    },
    hover(indices) {
        for (const i of indices.slice(0, 1)) {
            const row = column('row')[i]
            if (column('thumb')[i] === '' && !looked.has(row)) {
                looked.set(row, ['', '', ''])
                ask('look', { row })
            }
        }
    },
    all() {  // before other stars come
        for (const figure of maps()) dotsOf(figure).view.filter.booleans = null
    },
    thin: () => maps().forEach(thin),
    moved(figure) {
        if (stars() <= MOST_DRAWN) return
        clearTimeout(calm.get(figure))
        calm.set(figure, setTimeout(() => thin(figure), CALM))
    },
    lassoed(figure, { geometry, final }) {
        if (!final || geometry.type !== 'poly' || stars() <= MOST_DRAWN) return
        setTimeout(() => { parts.source.selected.indices = inside(figure, geometry) })
    },
    lost() {
        tell('The connection to the server is lost. All votes are kept; this page comes back when the server does.')
        const again = setInterval(async () => {
            try {
                const answer = await fetch(location.href, { method: 'HEAD' })
                if (answer.status < 500) {
                    clearInterval(again)
                    location.reload()
                }
            } catch { /* not yet */ }
        }, 2000)
    },
}

// ------------------------------------------------------------------------------------------------ what the server tells
const heard = {
    star({ row, packed, thumb, thumb_model, thumb_sigma }) {
        awaited.delete(row)
        const kept = Object.keys(spectra).filter(name => name !== 'made')
        if (kept.length >= MOST_KEPT) delete spectra[kept[0]]
        spectra[row] = packed
        keepLook(row, [thumb, thumb_model, thumb_sigma])
        if (column('row')[indexOf(current)] !== row && $('other').value !== String(row)) return
        $('with').classList.remove('waiting')
        draw()
    },
    look({ row, thumb, thumb_model, thumb_sigma }) { keepLook(row, [thumb, thumb_model, thumb_sigma]) },
    alike({ row, rows }) {
        neighbours.set(row, rows.filter(other => rowAt(other) >= 0))
        if (column('row')[indexOf(current)] === row) showAlike(row)
    },
    stars(words) {
        const data = { ...arrived.data }
        const names = ['thumb', 'thumb_model', 'thumb_sigma']
        for (const name of names) data[name] = new Array(data.row.length).fill('')
        for (const [i, row] of data.row.entries()) {
            if (looked.has(row)) names.forEach((name, k) => { data[name][i] = looked.get(row)[k] })
        }
        neighbours.clear()
        Object.assign(page.planes, words.planes)
        takeVotes(words.votes)
        replaceStars(data)
        for (const select of document.querySelectorAll('select.plane')) plane(parts[select.dataset.figure], select.value, true)
        page.legends = words.legends
        look($('colour').value)
        $('oddest').innerHTML = words.oddest  // made of the server's templates, which escape what is not theirs
        $('kinds').innerHTML = words.kinds
        for (const id of ['headline', 'sure', 'warning', 'lost']) $(id).textContent = words.first[id]
        if (current === undefined && stars()) choose(0)
        if (current !== undefined) live.shown(column('row')[indexOf(current)])
        progress(words)
    },
    ranks(words) {
        takeVotes(words.votes)
        const rank = new Map(Array.from(words.rows, (row, k) => [row, k]))
        const rows = column('row'), last = rank.size
        arrange([...rows.keys()].sort((a, b) => (rank.get(rows[a]) ?? last) - (rank.get(rows[b]) ?? last)))
        $('oddest').innerHTML = words.oddest
        showVote()
    },
    progress: words => progress(words),
    added({ rows, said }) {
        tell(said)
        pressed = rows[0]
        if (rowAt(pressed) >= 0) goTo()
    },
    made({ packed, words }) {
        spectra.made = packed
        $('made').textContent = words
        if (![...$('other').options].some(option => option.value === 'made')) $('other').add(new Option('generated star', 'made'))
        $('other').value = 'made'
        draw()
    },
    file({ name, data, said }) {
        const a = document.createElement('a')
        a.href = URL.createObjectURL(new Blob([Uint8Array.from(atob(data), c => c.charCodeAt(0))]))
        a.download = name
        a.click()
        setTimeout(() => URL.revokeObjectURL(a.href), 1000)
        tell(said)
    },
    said: ({ said }) => tell(said),
    failed({ said, row }) {
        awaited.delete(row)
        tell(said)
    },
}

function hear() {
    const words = JSON.parse(told.value)
    heard[words.what](words)
}

function goTo() {
    choose(rowAt(pressed))
    pressed = ''
    $('star').scrollIntoView({ behavior: 'smooth', block: 'start' })
}

function takeVotes(given) {
    votes = new Map(given)
}

function progress({ done, total, problems }) {
    $('work').hidden = done >= total
    $('progress').value = done
    $('progress-words').textContent = `${done.toLocaleString('en')} of ${total.toLocaleString('en')} stars are scored`
    if (problems.length) tell(problems.at(-1))
    if (pressed !== '' && rowAt(pressed) >= 0) goTo()
}

function keepLook(row, paths) {
    looked.set(row, paths)
    const i = rowAt(row)
    const names = ['thumb', 'thumb_model', 'thumb_sigma']
    if (i >= 0) names.forEach((name, k) => { column(name)[i] = paths[k] })
    document.querySelectorAll(`#alike [data-row="${row}"] path`).forEach((path, k) => path.setAttribute('d', paths[k]))
}

// ------------------------------------------------------------------------------------------------ maps of many stars
const calm = new Map()  // timers by map
const maps = () => [parts.left, parts.right]
const dotsOf = figure => figure.renderers.find(r => r.name === 'dots')
const placesIn = figure => [column(dotsOf(figure).glyph.x.field), column(dotsOf(figure).glyph.y.field)]

// Draws the highest in rank (the first, in the order of the data) and others evenly, of those that one sees.
function thin(figure) {
    const shown = parts.filter.booleans, n = stars()
    const filter = dotsOf(figure).view.filter
    if (n <= MOST_DRAWN) {
        filter.booleans = shown
        return
    }
    const [xs, ys] = placesIn(figure)
    const { x_range: { min: left, max: right }, y_range: { min: low, max: high } } = figure
    const seen = []
    for (let i = 0; i < n; i++) {
        if ((!shown || shown[i]) && xs[i] >= left && xs[i] <= right && ys[i] >= low && ys[i] <= high) seen.push(i)
    }
    const drawn = new Array(n).fill(false)
    const first = seen.length > MOST_DRAWN ? MOST_DRAWN / 2 : MOST_DRAWN
    const step = Math.max((seen.length - first) / (MOST_DRAWN - first), 1)
    for (const i of seen.slice(0, first)) drawn[i] = true
    for (let k = first; k < seen.length; k += step) drawn[seen[Math.floor(k)]] = true
    for (const i of parts.source.selected.indices.slice(0, MOST_DRAWN)) drawn[i] = true
    filter.booleans = drawn
    const words = seen.length > MOST_DRAWN ? `${MOST_DRAWN.toLocaleString('en')} of ${seen.length.toLocaleString('en')} stars are drawn; zoom in for more` : ''
    figure.title.text = words
}

function inside(figure, { x, y }) {  // indices of all stars in a polygon
    const [xs, ys] = placesIn(figure), shown = parts.filter.booleans
    const found = []
    for (let i = 0; i < xs.length; i++) {
        if (shown && !shown[i]) continue
        let odd = false
        for (let a = 0, b = x.length - 1; a < x.length; b = a++) {
            if ((y[a] > ys[i]) !== (y[b] > ys[i]) && xs[i] < (x[b] - x[a]) * (ys[i] - y[a]) / (y[b] - y[a]) + x[a]) odd = !odd
        }
        if (odd) found.push(i)
    }
    return found
}

// ------------------------------------------------------------------------------------------------ neighbours
function smallPicture(paths) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
    svg.setAttribute('viewBox', '0 0 128 56')
    svg.setAttribute('aria-hidden', 'true')
    for (const [k, name] of ['ink', 'drawn', 'sigma'].entries()) {
        const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
        path.setAttribute('class', name)
        path.setAttribute('d', paths[k])
        svg.append(path)
    }
    return svg
}

function showAlike(row) {
    const rows = (neighbours.get(row) ?? []).filter(other => rowAt(other) >= 0)
    const before = $('other').value
    $('other').replaceChildren(new Option('nothing', ''))
    for (const other of rows) $('other').add(new Option(`${idOf(rowAt(other))}, rank ${column('rank')[rowAt(other)]}`, other))
    if (spectra.made) $('other').add(new Option('generated star', 'made'))
    if ([...$('other').options].some(option => option.value === before)) $('other').value = before
    $('alike').replaceChildren(...rows.map(other => {
        const item = document.createElement('li'), button = document.createElement('button'), name = document.createElement('small')
        button.type = 'button'
        button.className = 'near'
        button.dataset.row = other
        name.textContent = `${idOf(rowAt(other))}, rank ${column('rank')[rowAt(other)]}`
        if (!looked.has(other)) {
            looked.set(other, ['', '', ''])
            ask('look', { row: other })
        }
        button.append(smallPicture(looked.get(other)), name)
        button.addEventListener('click', () => choose(rowAt(other)))
        item.append(button)
        return item
    }))
}

// ------------------------------------------------------------------------------------------------ files and names
const asBase64 = file => new Promise((done, failed) => {
    const reader = new FileReader()
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(',') + 1))
    reader.onerror = () => failed(reader.error)
    reader.readAsDataURL(file)
})

async function bring(files) {
    for (const file of files) {
        if (file.size > LARGEST) {
            tell(`${file.name}: is larger than ${LARGEST / 1e6} MB; put it into the store by stellar_gen ingest`)
            continue
        }
        tell(`${file.name}: is being read`)
        ask('bring', { name: file.name, data: await asBase64(file) })
    }
}

function fetchStar() {
    const name = $('wanted').value.trim()
    if (!name) return
    tell(`${name}: is being looked for`)
    ask('fetch', { name })
}

const chosenRows = () => parts.source.selected.indices.map(i => column('row')[i])

function startExplore(models) {
    ({ asked, told, arrived } = models)
    told.properties.value.change.connect(hear)
    progress(page)
    $('file').addEventListener('change', async () => {
        await bring([...$('file').files])
        $('file').value = ''
    })
    for (const name of ['dragover', 'drop']) document.addEventListener(name, event => event.preventDefault())
    document.addEventListener('drop', event => bring([...event.dataTransfer?.files ?? []]))
    $('fetch').addEventListener('click', fetchStar)
    $('wanted').addEventListener('keydown', event => { if (event.key === 'Enter') fetchStar() })
    $('walk').addEventListener('click', live.walk)
    $('make')?.addEventListener('click', () => ask('make', {}))
    $('make-alike')?.addEventListener('click', () => ask('make', { row: column('row')[indexOf(current)] }))
    $('lasso-list').addEventListener('click', () => {
        tell('The list is being written.')
        ask('list', { rows: chosenRows(), suffix: $('format').value })
    })
    $('samp')?.addEventListener('click', () => ask('samp', { rows: chosenRows() }))
}
