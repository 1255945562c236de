// Spectra alone, without a model: what the report's script draws of a star.
async function showSpectrum() {
    const star = await unpackSpectrum(spectra[$('star').value])
    const over = $('other').value === '' ? null : await unpackSpectrum(spectra[$('other').value])
    star.flux = star.flux.map((f, i) => star.ivar[i] > 0 ? f : NaN)
    star.recon.fill(NaN)
    setStar(star, over)
    document.documentElement.dataset.ready = 'yes'
}

function startSpectra(models) {
    parts = models
    followTheme(parts.document)
    const step = by => {
        const last = $('star').options.length - 1
        $('star').selectedIndex = Math.min(Math.max($('star').selectedIndex + by, 0), last)
        showSpectrum()
    }
    $('before').addEventListener('click', () => step(-1))
    $('after').addEventListener('click', () => step(1))
    for (const id of ['star', 'other']) $(id).addEventListener('input', showSpectrum)
    $('element').addEventListener('input', fade)
    $('measure').addEventListener('click', () => measuring($('measure').getAttribute('aria-pressed') !== 'true'))
    for (const id of ['level', 'tilt']) $(id).addEventListener('input', nudge)
    $('errors').addEventListener('input', () => parts.panels.forEach(panel => {
        for (const renderer of panel.renderers) if (renderer.name === 'errors') renderer.visible = $('errors').checked
    }))
    parts.said.forEach(label => label.properties.text.change.connect(() => { $('measured').textContent = label.text }))
    showSpectrum()
}
