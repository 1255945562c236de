"What the tests of pages share"
WIDE = dict(width=1400, height=900)      # CSS pixels
TELEPHONE = dict(width=390, height=844)
EVIL = '<img src=x onerror="document.title=1">'
READY = 'html[data-ready=yes]'


def see_tooltip(tab):
    "Point at the first star of the left map, and see its name and its small spectrum"
    tab.evaluate('document.querySelector("select.plane").scrollIntoView()')
    tab.wait_for_timeout(300)
    x, y = tab.evaluate('''() => {
        const view = Bokeh.index.find_one(parts.left), box = view.canvas_view.el.getBoundingClientRect()
        const sx = view.frame.x_scale.compute(column('map_1')[0]), sy = view.frame.y_scale.compute(column('map_2')[0])
        return [box.left + sx, box.top + sy]
    }''')
    tab.mouse.move(x - 5, y - 5)
    tab.mouse.move(x, y, steps=3)
    tab.locator('.bk-Tooltip, .bk-tooltip-content').first.wait_for(timeout=3000)
    assert tab.locator('svg[aria-label="small spectrum"] path[d^=M]').count() > 0
