"How a family hands on the public names of its rooms, each imported when it is first asked for"
import ast
import re
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.resources import files


def public_names(
    room: str,  # A module of this package, without its name: `data.core`
) -> list[str]:  # What its `__all__` lists, read from the source: nothing is imported
    "The names that a room offers"
    source = (files('stellar_gen') / f'{room.replace(".", "/")}.py').read_text(encoding='utf-8')
    listed = re.search(r'^__all__ = (\[.*?\])', source, flags=re.M | re.S)
    return ast.literal_eval(listed[1]) if listed else []


def hand_on(
    package: str,  # Name of the family's package: its `__name__`
    rooms: Iterable[str],  # Its modules, and those that its names have moved to
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:  # `__getattr__`, `__dir__`, `__all__`
    "What makes a package offer the names of its rooms lazily (PEP 562)"
    room_of = {name: room for room in rooms for name in public_names(room)}

    def __getattr__(name: str) -> object:
        if name not in room_of:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        value = getattr(import_module(f'stellar_gen.{room_of[name]}'), name)
        setattr(import_module(package), name, value)
        return value

    def __dir__() -> list[str]:
        return sorted(room_of)

    return __getattr__, __dir__, list(room_of)
