"""What an exercise is made of, and how it reads in a notebook."""

import ast
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


class NotYet(Exception):  # noqa: N818  (a verdict, not a fault)
    """What a check raises: what was seen, what was expected, the number of the hint that fits."""

    def __init__(self, *, seen: str, expected: str, hint: int) -> None:
        super().__init__(seen, expected, hint)
        self.seen, self.expected, self.hint = seen, expected, hint


@dataclass(frozen=True)
class Wrong:
    """A typical wrong answer, as source, and the number of the hint it must get."""

    source: str
    hint: int


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A task to solve in a cell, with everything needed to judge and to explain it.

    `answer` is the name the stub defines; `given` are names of the notebook that the check needs
    too. `check(answer, *given)` returns when the answer does what was asked and raises `NotYet`
    otherwise; an error of the answer itself may pass through. Hints are numbered from 1, from a
    nudge to nearly the answer; the first solution is the one shown.
    """

    id: str
    title: str
    task: str
    answer: str
    stub: str
    hints: tuple[str, ...]
    solutions: tuple[str, ...]
    wrong: tuple[Wrong, ...]
    check: Callable[..., Awaitable[None]]
    given: tuple[str, ...] = ()
    time_limit_seconds: float = 1.0

    def __post_init__(self) -> None:
        for source in (self.stub, *self.solutions, *(wrong.source for wrong in self.wrong)):
            parse(source)
        if len(self.solutions) < 2 or len(self.wrong) < 3:
            raise ValueError(f"Exercise {self.id} needs two solutions and three wrong answers.")
        if any(not 1 <= wrong.hint <= len(self.hints) for wrong in self.wrong):
            raise ValueError(
                f"A wrong answer of exercise {self.id} names a hint that is not there."
            )

    @property
    def notebook(self) -> int:
        """The number of the notebook it belongs to."""
        return int(self.id.partition(".")[0])

    @property
    def task_markdown(self) -> str:
        number = self.id.partition(".")[2]
        return f"### Exercise {number}: {self.title}\n\n{self.task.strip()}"

    @property
    def stub_code(self) -> str:
        return self.stub.strip()

    @property
    def check_code(self) -> str:
        names = ", ".join([self.answer, *self.given])
        return f'await check_exercise("{self.id}", {names})'

    @property
    def details_markdown(self) -> str:
        hints = [_folded(f"Hint {n}", hint.strip()) for n, hint in enumerate(self.hints, 1)]
        solution = _folded("Solution", f"```python\n{self.solutions[0].strip()}\n```")
        return "\n\n".join([*hints, solution])

    @property
    def cells(self) -> list[tuple[str, str]]:
        """The four cells of the exercise in a notebook: their type and source."""
        return [
            ("markdown", self.task_markdown),
            ("code", self.stub_code),
            ("code", self.check_code),
            ("markdown", self.details_markdown),
        ]


def parse(source: str) -> ast.Module:
    """The syntax tree of a cell, where `await` may stand at the top."""
    tree: Any = compile(
        source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
    )
    assert isinstance(tree, ast.Module)
    return tree


def _folded(summary: str, body: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"
