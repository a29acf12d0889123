"""What is stored cannot choose what code runs: nothing in the library turns data into code."""

import ast
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "src" / "eventsource"
RUN_DATA = {"eval", "exec", "compile", "__import__"}
BUILD_ANYTHING = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "yaml"}
#: Looks in a table of its own names; no name comes from outside.
LAZY_NAMES = "lazy_names.py"


def dangers(tree: ast.Module, name: str) -> list[str]:
    found = []
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            is_builtin = isinstance(node.func, ast.Name) and called in RUN_DATA
            is_fixed = all(isinstance(argument, ast.Constant) for argument in node.args)
            if is_builtin or (called == "import_module" and not is_fixed and name != LAZY_NAMES):
                found.append(ast.unparse(node))
        found += [module for module in modules if module.partition(".")[0] in BUILD_ANYTHING]
    return found


def test_nothing_turns_data_into_code() -> None:
    found = {
        path.relative_to(LIBRARY).as_posix(): danger
        for path in LIBRARY.rglob("*.py")
        if (danger := dangers(ast.parse(path.read_text("utf-8")), str(path.relative_to(LIBRARY))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from yaml import load",
        "eval(row['event'])",
        "__import__(row['module'])",
        "import_module(row['module'])",
        "importlib.import_module(event_type)",
    ],
)
def test_a_line_that_would_is_found(line: str) -> None:
    assert dangers(ast.parse(line), "stores/x.py")
