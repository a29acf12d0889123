"""Event sourcing on asyncio: events, aggregates and event stores.

A name is imported when it is first used, so you pay for what you use. `__init__.pyi` says where
each comes from; type checkers read it as it stands. The technique is Scientific Python's SPEC 1.
"""

import ast
import pkgutil
from importlib import import_module


def _homes() -> dict[str, str]:
    stub = pkgutil.get_data(__name__, "__init__.pyi")
    assert stub is not None
    return {
        name.name: str(statement.module)
        for statement in ast.parse(stub).body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }


_HOMES = _homes()
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("eventsource-tutorial")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
