"""Packages whose names are imported when they are first used, so you pay for what you use.

The technique is Scientific Python's SPEC 1: the package's `__init__.pyi` says where each name comes
from, and type checkers read it as it stands.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_names(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of the package."""
    module: Any = sys.modules[package]
    stub = module.__spec__.loader.get_data(f"{module.__file__}i")
    homes = {
        name.name: str(statement.module)
        for statement in ast.parse(stub).body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(homes[name]), name)
        setattr(module, name, value)
        return value

    return get, lambda: sorted({*vars(module), *homes}), list(homes)
