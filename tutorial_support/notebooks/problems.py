"""What is wrong with a notebook, said so that its author knows what to do."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to mend; `cell` counts from 1, as all cells of the notebook, and 0 is the whole."""

    notebook: str
    cell: int
    message: str

    def __str__(self) -> str:
        place = f"{self.notebook}:cell {self.cell}" if self.cell else self.notebook
        return f"{place}: {self.message}"
