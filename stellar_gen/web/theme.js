// Colours of Bokeh's figures as those of the page: `--ink` and so on of the style sheet.
function paint(doc, theme) {
    document.documentElement.dataset.theme = theme
    const style = getComputedStyle(document.documentElement)
    const colour = name => style.getPropertyValue(name).trim()
    const ink = colour('--ink'), soft = colour('--soft')
    const lines = { recon: colour('--drawn'), other: colour('--other'), sigma: colour('--sigma') }
    for (const model of doc.all_models) {
        const has = name => name in model.attributes
        if (model.tags.includes('ink')) model.setv(has('line_color') ? { line_color: ink } : { text_color: ink })
        else if (has('major_label_text_color')) model.setv({ major_label_text_color: soft, axis_label_text_color: soft })
        else if (has('label_text_color')) model.setv({ label_text_color: soft })
        else if (model.tags.includes('drawn') && lines[model.y.field]) model.setv({ line_color: lines[model.y.field] })
    }
}

function followTheme(doc) {
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const follow = () => paint(doc, dark.matches ? 'dark' : 'light')
    dark.addEventListener('change', follow)
    follow()
}
