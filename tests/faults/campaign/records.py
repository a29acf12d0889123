"""What an actor notes while it works, in a file that outlives it."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Append:
    """An attempt to store one event. `outcome` is "ok", "refused" or, if it never ended, ""."""

    event_id: str
    stream: str
    began: float
    ended: float = float("inf")
    outcome: str = ""


@dataclass(frozen=True)
class VersionRead:
    """A stream's version as somebody saw it between two moments."""

    stream: str
    version: int
    began: float
    ended: float


@dataclass(frozen=True)
class FeedRead:
    """Event ids that one reader got next, in order."""

    reader: str
    event_ids: list[str]


@dataclass(frozen=True)
class Complaint:
    """Something an actor itself saw to be wrong."""

    what: str


KINDS = {cls.__name__: cls for cls in (Append, VersionRead, FeedRead, Complaint)}
Record = Append | VersionRead | FeedRead | Complaint


class Notebook:
    """Appends records to a file, one system call each: what was noted is there after SIGKILL."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, record: Record) -> None:
        line = json.dumps({"kind": type(record).__name__} | asdict(record))
        os.write(self._file, line.encode() + b"\n")


def read_notes(folder: Path) -> list[Record]:
    """Everything that was noted in a folder; a line that a kill cut short is left out."""
    return [record for path in sorted(folder.glob("*.jsonl")) for record in _read(path)]


def _read(path: Path) -> Iterator[Record]:
    for line in path.read_text("utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        yield KINDS[values.pop("kind")](**values)


def now() -> float:
    """Seconds of a clock that all processes of this machine share and nobody sets."""
    return time.monotonic()
