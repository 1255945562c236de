"""Structures of JSON, changed in one place"""
import json


def with_change(tree, path, change):
    "A copy of a structure in which `change(within, key)` has acted on the place at the end of a path"
    new = json.loads(json.dumps(tree))
    within = new
    for key in path[:-1]:
        within = within[key]
    change(within, path[-1])
    return new


def setting(value):
    "A change that puts a value"
    return lambda within, key: within.__setitem__(key, value)
