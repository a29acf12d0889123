"""What a notebook is run with: its first cell says it, and papermill puts other values behind.

Papermill only warns of a name that the notebook does not have, and goes on without it.
"""

import ast
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

_INJECTED = "# Parameters\n"  # how papermill's own cell begins


class WrongParameter(ValueError):  # noqa: N818  (as the errors of the servers)
    """The notebook cannot be run with this; the message says with what it can.

    IPython shows the message alone, with no traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def parameter_values(source: str) -> dict[str, object]:
    """The names and plain values a parameters cell sets."""
    return {name: ast.literal_eval(value) for name, value in _assigned(source).items()}


def check_parameters() -> None:
    """In a kernel that papermill has started: WrongParameter if it was given what the notebook does
    not have, or a value of another kind."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    cells = shell.user_ns.get("In", []) if shell else []  # the first is empty
    if len(cells) > 2 and cells[2].startswith(_INJECTED):
        given = {name: shell.user_ns[name] for name in _assigned(cells[2])}
        compare(parameter_values(cells[1]), given)


def compare(defaults: Mapping[str, object], given: Mapping[str, object]) -> None:
    """WrongParameter for the first of the given values that does not fit."""
    example = ", ".join(f"{name} = {value!r}" for name, value in defaults.items())
    for name, value in given.items():
        if name not in defaults:
            near = get_close_matches(name, defaults, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise WrongParameter(
                f"This notebook has no parameter {name}.{meant}\nIt has: {example}.\n"
                "Name one of these, as in:  papermill -p seed 7"
            )
        _check_value(name, value, defaults[name])


def _check_value(name: str, value: object, default: object) -> None:
    if type(value) is not type(default) and not (default is None and isinstance(value, str)):
        raise WrongParameter(
            f"The parameter {name} is {value!r}. Give a value of the same kind as the notebook's "
            f"own: {name} = {default!r}, say."
        )
    if name == "size" and isinstance(value, int) and value < 1:
        raise WrongParameter(f"The parameter size is {value}. Give 1 or more: size = {default}.")


def _assigned(source: str) -> dict[str, ast.expr]:
    return {
        target.id: statement.value
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
