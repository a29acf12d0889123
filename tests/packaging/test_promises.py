"""The page of promises names tests, and there are such tests."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text("utf-8")
TESTS = re.findall(r"^- `([\w/]+\.py)(?:::(\w+))?`$", PAGE, re.MULTILINE)


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_test_that_a_promise_names_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in TESTS
        if not (ROOT / path).exists() or (name and name not in functions(ROOT / path))
    ]
    assert missing == []


def test_every_promise_names_a_test() -> None:
    promises, attacks = PAGE.count("\n**"), len(TESTS)
    assert 10 < promises <= attacks
