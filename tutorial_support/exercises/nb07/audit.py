"""Exercise 7.1: one row for every event, whatever it is."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

from eventsource import DomainEvent, EventBusError, InMemoryEventBus, register_event
from eventsource.bus import RetryPolicy
from tutorial_support.database import Database, open_database
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

Answer = Callable[[InMemoryEventBus, Database], Awaitable[Any]]
COLUMNS = ("event_id", "event_type", "aggregate_id", "actor_id", "occurred_at")
AUDIT_TABLE = """
CREATE TABLE audit (
    event_id UUID PRIMARY KEY,
    event_type TEXT NOT NULL,
    aggregate_id UUID NOT NULL,
    actor_id TEXT,
    occurred_at TIMESTAMPTZ NOT NULL
)
"""


@register_event
class GiftWrapped(DomainEvent):
    aggregate_type: str = "Order"


def _some_events() -> list[DomainEvent]:
    order = uuid4()
    return [
        OrderCreated(aggregate_id=order, customer_id="Ann", total=Decimal(5), actor_id="ann"),
        OrderShipped(aggregate_id=order, tracking_number="T"),
        GiftWrapped(aggregate_id=order, actor_id="packer-3"),
    ]


async def _check_audit(attach: Answer, db: Database) -> None:
    async with await open_database("07-audit", url=db.url, empty=True) as database:
        await database.execute(AUDIT_TABLE)
        bus = InMemoryEventBus(retry=RetryPolicy(max_tries=1))
        await attach(bus, database)
        await _every_event_has_its_row(bus, database)
        await _repetition_changes_nothing(bus, database)
        await _a_failure_is_not_hidden(bus, database)


async def _every_event_has_its_row(bus: InMemoryEventBus, database: Database) -> None:
    events = _some_events()
    await bus.publish(events)
    rows = {row["event_id"]: row for row in await database.fetch("SELECT * FROM audit")}
    missing = [event.event_type for event in events if event.event_id not in rows]
    if missing:
        letters = await bus.get_dead_letters()
        reason = f" ({letters[0].reason})" if letters else ""
        raise NotYet(
            seen=f"no row for {', '.join(missing)}{reason}",
            expected="a row for every event that is published",
            hint=1,
        )
    for event in events:
        for column in COLUMNS:
            told, true = rows[event.event_id][column], getattr(event, column)
            if told != true:
                raise NotYet(
                    seen=f"{column} of {event.event_type} is {told}",
                    expected=f"{true}, as the event says",
                    hint=2,
                )


async def _repetition_changes_nothing(bus: InMemoryEventBus, database: Database) -> None:
    (event, *_) = _some_events()
    await bus.publish([event])
    await bus.publish([event])
    rows = await database.fetch("SELECT 1 FROM audit WHERE event_id = $1", event.event_id)
    letters = await bus.get_dead_letters()
    if len(rows) != 1 or letters:
        what = "a dead letter" if letters else f"{len(rows)} rows"
        raise NotYet(
            seen=f"an event was published twice, and that made {what}",
            expected="one row, and no failure",
            hint=3,
        )


async def _a_failure_is_not_hidden(bus: InMemoryEventBus, database: Database) -> None:
    (event, *_) = _some_events()
    await database.execute("ALTER TABLE audit RENAME TO audit_away")
    await bus.publish([event])
    await database.execute("ALTER TABLE audit_away RENAME TO audit")
    letters = await bus.get_dead_letters()
    if len(letters) == 1:
        try:
            await bus.replay_dead_letter(letters[0].id)
        except EventBusError as error:
            raise NotYet(
                seen=f"the replay failed: {error}", expected="the missing row", hint=4
            ) from None
    rows = await database.fetch("SELECT 1 FROM audit WHERE event_id = $1", event.event_id)
    if len(rows) != 1:
        raise NotYet(
            seen="the table was gone for a moment, and the row is missing for ever",
            expected="a dead letter, whose replay writes the row",
            hint=4,
        )


def _attach(handler: str, subscribe: str) -> str:
    return (
        "async def attach_audit(bus, database):\n"
        + handler.strip("\n")
        + "\n\n    "
        + subscribe
        + "\n"
    )


_INSERT = '"INSERT INTO audit VALUES ($1, $2, $3, $4, $5){}"'
_ONCE = " ON CONFLICT DO NOTHING"
_WILDCARD = "bus.subscribe_to_all_events(write)"


def _writer(query: str, actor: str = "e.actor_id", moment: str = "e.occurred_at") -> str:
    return f"""
    async def write(e):
        query = {query}
        values = e.event_id, e.event_type, e.aggregate_id, {actor}, {moment}
        await database.execute(query, *values)
"""


AUDIT = Exercise(
    id="7.1",
    title="An audit of everything",
    task="""
The auditors want to know who did what. In the database there is a table `audit` with the columns
`event_id` (the primary key), `event_type`, `aggregate_id`, `actor_id` and `occurred_at`. Write
`attach_audit(bus, database)`: from then on every event, also of classes that you have never heard
of, gets one row. An event may be published twice. When the table cannot be written, the event
must not be lost. `database` has `execute(query, *values)`, as `db` has.
""",
    answer="attach_audit",
    given=("db",),
    stub='''
async def attach_audit(bus, database):
    """From now on every event on the bus gets one row in the table audit."""
    ...
''',
    hints=(
        """
You cannot list classes that you do not know: `subscribe_to_all_events` takes a handler for all of
them. The handler awaits `database.execute("INSERT INTO audit VALUES ($1, $2, ...)", ...)`.
""",
        """
An event knows what it is about: `event.event_type`, `event.actor_id`, `event.occurred_at`. The time
of the audit is not the time of the fact.
""",
        """
The primary key refuses a second row, and then your handler fails. `ON CONFLICT DO NOTHING` says
that a row which is there already is fine.
""",
        """
Do not catch errors in the handler. What it raises is how the bus learns that there is something to
keep and to replay.
""",
    ),
    solutions=(
        _attach(_writer(_INSERT.format(_ONCE)), _WILDCARD),
        """
from eventsource import DomainEvent


class Auditor:
    def __init__(self, database):
        self.database = database

    def subscribed_to(self):
        return [DomainEvent]

    async def handle(self, event):
        query = '''
            INSERT INTO audit SELECT $1, $2, $3, $4, $5
            WHERE NOT EXISTS (SELECT FROM audit WHERE event_id = $1)
        '''
        names = "event_id", "event_type", "aggregate_id", "actor_id", "occurred_at"
        await self.database.execute(query, *(getattr(event, name) for name in names))


async def attach_audit(bus, database):
    bus.subscribe_all(Auditor(database))
""",
    ),
    wrong=(
        Wrong(
            _attach(
                _writer(_INSERT.format(_ONCE)),
                "for each in (OrderCreated, OrderShipped):\n        bus.subscribe(each, write)",
            ),
            hint=1,
        ),
        Wrong(_attach(_writer(_INSERT.format(_ONCE), moment="clock()"), _WILDCARD), hint=2),
        Wrong(_attach(_writer(_INSERT.format(_ONCE), actor="'system'"), _WILDCARD), hint=2),
        Wrong(_attach(_writer(_INSERT.format("")), _WILDCARD), hint=3),
        Wrong(
            _attach(
                _writer(_INSERT.format(_ONCE)).replace(
                    "        await database.execute(query, *values)",
                    "        try:\n"
                    "            await database.execute(query, *values)\n"
                    "        except Exception as error:\n"
                    "            logging.getLogger('audit').debug(error)",
                ),
                _WILDCARD,
            ),
            hint=4,
        ),
    ),
    check=_check_audit,
    time_limit_seconds=5,
)
