"What the tests of pages share"
WIDE = dict(width=1400, height=900)      # CSS pixels
TELEPHONE = dict(width=390, height=844)
EVIL = '<img src=x onerror="document.title=1">'
READY = 'html[data-ready=yes]'
