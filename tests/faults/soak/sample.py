"""What is known of the deployment at one moment."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """`commands`, `conflicts` and `waited` (seconds, of all commands) are counted from the start;
    the rest is of this moment, and `slowest` of the time since the last sample."""

    seconds: float
    commands: int = 0
    conflicts: int = 0
    waiting: int = 0
    waited: float = 0.0
    slowest: float = 0.0
    memory: dict[str, float] = field(default_factory=dict)  #: MiB, by process
    connections: int = 0
    lag: dict[str, float] = field(default_factory=dict)  #: seconds, by who is behind
    outbox_pending: int = 0
    outbox_age: float = 0.0
    outbox_mib: float = 0.0
    database_mib: float = 0.0
    dead_rows: int = 0
