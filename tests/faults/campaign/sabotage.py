"""Ways to break the library, or its use, each of which a run must find."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sabotage:
    """`statement` breaks the database; where it does nothing, the first of the roles works wrongly.

    Only these roles are at work, and only `victims` are killed.
    """

    roles: tuple[str, ...]
    victims: tuple[str, ...] = ()
    statement: str = "SELECT"
    broker: str = "table"


FOLLOW = ("subscribe", "write")
DELIVER = ("consume", "publish", "write")

SABOTAGES = {
    "no-guard": Sabotage(
        ("write",), statement="ALTER TABLE events DROP CONSTRAINT uq_events_aggregate_version"
    ),
    "no-horizon": Sabotage(
        ("read", "write"),
        statement="CREATE OR REPLACE FUNCTION event_feed_horizon() RETURNS xid8 LANGUAGE sql "
        "STABLE AS $$ SELECT '9223372036854775807'::xid8 $$",
    ),
    "mark-first": Sabotage(("publish", "consume", "write"), ("publish",)),
    "early-checkpoint": Sabotage(FOLLOW, ("subscribe",)),
    "no-leader": Sabotage(FOLLOW),
    "no-inbox": Sabotage(DELIVER, ("consume", "publish"), broker="redis"),
    "early-acknowledgement": Sabotage(DELIVER, ("consume",), broker="redis"),
}
