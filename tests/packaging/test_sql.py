"""Values reach the database as parameters: no SQL is put together from them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src/eventsource", "tutorial_support/database", "tutorial_support/services")
RUN_SQL = {
    *("execute", "executemany", "execute_many", "executescript", "exec_driver_sql", "text"),
    *("fetch", "fetchrow", "fetchval", "fetch_or_undo", "scalar"),
}
#: What may stand between the braces: an identifier, quoted as one, or a number.
SAFE_CALLS = {"quoted", "int"}
#: Names that hold SQL made from quoted identifiers, and no value, where they are used.
SAFE_NAMES = {"source"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def statements(tree: ast.Module) -> Iterator[ast.expr]:
    """The first argument of everything that sends SQL."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in RUN_SQL:
                yield node.args[0]


def unsafe(statement: ast.expr) -> list[str]:
    """The parts of a statement that could bring in a value."""
    if isinstance(statement, ast.JoinedStr):
        parts = [part.value for part in statement.values if isinstance(part, ast.FormattedValue)]
    elif isinstance(statement, ast.BinOp):
        sides = [statement.left, statement.right]
        return [part for side in sides for part in unsafe(side)] if is_sum(statement) else ["%"]
    elif isinstance(statement, ast.Call) and getattr(statement.func, "attr", "") in {
        "format",
        "replace",
        "join",
    }:
        parts = [part for part in statement.args if not isinstance(part, ast.Constant)]
    else:
        parts = []
    return [ast.unparse(part) for part in parts if not is_safe(part)]


def is_sum(statement: ast.BinOp) -> bool:
    return isinstance(statement.op, ast.Add)


def is_safe(part: ast.expr) -> bool:
    if isinstance(part, ast.Call):
        return getattr(part.func, "id", "") in SAFE_CALLS
    return isinstance(part, ast.Constant) or getattr(part, "id", "") in SAFE_NAMES


def test_no_statement_is_put_together_from_values() -> None:
    found = {
        f"{path}:{statement.lineno}": parts
        for path, tree in modules()
        for statement in statements(tree)
        if (parts := unsafe(statement))
    }
    assert found == {}


@pytest.mark.parametrize(
    "call",
    [
        'connection.fetch(f"SELECT {name}")',
        'connection.execute("SELECT \'" + f"{name}\'")',
        "connection.execute(\"SELECT '%s'\" % name)",
        'connection.execute("SELECT {}".format(name))',
        'text("SELECT name".replace("name", name))',
    ],
)
def test_a_value_in_a_statement_is_found(call: str) -> None:
    assert [unsafe(each) for each in statements(ast.parse(call))] not in ([], [[]])
