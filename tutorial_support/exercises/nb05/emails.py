"""Exercise 5.2: one customer for each e-mail address, without a lock."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from eventsource import (
    AppendResult,
    DomainEvent,
    OptimisticLockError,
    PostgreSQLEventStore,
    register_event,
)
from tutorial_support.database import Database
from tutorial_support.exercises.model import Exercise, NotYet
from tutorial_support.exercises.nb05.emails_answers import SOLUTIONS, STUB, WRONG
from tutorial_support.exercises.scratch import scratch_store

EMAIL, SAME_EMAIL, OTHER_EMAIL = "Ann@Shop.example", " ann@shop.EXAMPLE", "bob@shop.example"


@register_event
class EmailReserved(DomainEvent):
    aggregate_type: str = "Email"
    customer_id: UUID


@register_event
class EmailFreed(DomainEvent):
    aggregate_type: str = "Email"
    customer_id: UUID


class EmailTakenError(Exception):
    """Another customer has this address."""


class _OvertakenStore(PostgreSQLEventStore):
    """Lets a rival in, once, between what a caller has read and what it appends."""

    rival: Callable[[], Awaitable[Any]] | None = None
    is_waited_for = False  #: by the rival, who would wait for ever for a caller that waits for it

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        rival, self.rival = self.rival, None
        if rival is not None:
            await self._let_in(asyncio.ensure_future(rival()))
        return await super().append_events(
            aggregate_id, aggregate_type, events, expected_version, transaction=transaction
        )

    async def _let_in(self, rival: asyncio.Future[Any]) -> None:
        pool: Any = self.session_factory.kw["bind"].pool
        ours, idle_rounds = pool.checkedout(), 0
        while not rival.done() and idle_rounds < 10:
            await asyncio.wait({rival}, timeout=0.02)
            idle_rounds = 0 if pool.checkedout() > ours else idle_rounds + 1
        self.is_waited_for = not rival.done()
        if self.is_waited_for:  # it goes on when the caller is through, and whatever comes of it
            rival.add_done_callback(lambda done: done.cancelled() or done.exception())
        else:
            rival.result()


async def _check_emails(emails_class: Any, db: Database) -> None:
    async with scratch_store("05-emails", db, _OvertakenStore) as (store, _):
        await _it_is_reserved_once(emails_class, store)
        await _case_and_spaces_do_not_count(emails_class, store)
        await _a_rival_comes_between(emails_class, store)
        await _her_own_request_comes_between(emails_class, store)
        await _many_at_once(emails_class, store)
        await _it_can_be_given_back(emails_class, store)


async def _is_taken(attempt: Awaitable[Any]) -> bool:
    try:
        await attempt
    except EmailTakenError:
        return True
    except OptimisticLockError:
        raise NotYet(
            seen="OptimisticLockError reached the caller",
            expected="EmailTakenError, or the reservation",
            hint=4,
        ) from None
    return False


async def _reserved(store: PostgreSQLEventStore) -> int:
    return sum([event.event_type == "EmailReserved" async for event in store.read_all()])


async def _it_is_reserved_once(emails_class: Any, store: PostgreSQLEventStore) -> None:
    ann, bob = uuid4(), uuid4()
    await emails_class(store).reserve(EMAIL, ann)
    if await _reserved(store) != 1:
        seen = f"{await _reserved(store)} events EmailReserved after one reservation"
        raise NotYet(seen=seen, expected="one, appended to the store", hint=1)
    if not await _is_taken(emails_class(store).reserve(EMAIL, bob)):
        raise NotYet(seen="two customers with one address", expected="EmailTakenError", hint=1)
    if await _is_taken(emails_class(store).reserve(EMAIL, ann)) or await _reserved(store) != 1:
        raise NotYet(
            seen="Ann asked again for the address she has, and was refused or stored twice",
            expected="nothing happens: her request was repeated",
            hint=3,
        )


async def _case_and_spaces_do_not_count(emails_class: Any, store: PostgreSQLEventStore) -> None:
    if not await _is_taken(emails_class(store).reserve(SAME_EMAIL, uuid4())):
        raise NotYet(
            seen=f"{SAME_EMAIL!r} was free although {EMAIL!r} is taken",
            expected="one address: case and spaces around it do not count",
            hint=2,
        )


async def _a_rival_comes_between(emails_class: Any, store: _OvertakenStore) -> None:
    rivals_store = PostgreSQLEventStore(store.session_factory)

    async def rival() -> None:
        await emails_class(rivals_store).reserve("race@shop.example", uuid4())

    before, store.rival = await _reserved(store), rival
    taken = await _is_taken(emails_class(store).reserve("race@shop.example", uuid4()))
    if store.is_waited_for:
        raise NotYet(
            seen="a request on another server that waited until yours was through",
            expected="servers that meet in the store and nowhere else",
            hint=1,
        )
    if await _reserved(store) != before + 1 or not taken:
        raise NotYet(
            seen="a rival reserved the address after you had looked, and you reserved it too",
            expected="EmailTakenError for the one who is late",
            hint=1 if await _streams(store) > 2 else 3,
        )


async def _her_own_request_comes_between(emails_class: Any, store: _OvertakenStore) -> None:
    """The browser has sent it twice: a conflict, and the address is hers all the same."""
    eva = uuid4()
    rivals_store = PostgreSQLEventStore(store.session_factory)

    async def rival() -> None:
        await emails_class(rivals_store).reserve("twice@shop.example", eva)

    before, store.rival = await _reserved(store), rival
    taken = await _is_taken(emails_class(store).reserve("twice@shop.example", eva))
    if taken or await _reserved(store) != before + 1:
        raise NotYet(
            seen="Eva's request was sent to two servers at once, and one of them "
            + ("refused her the address she has" if taken else "stored it again"),
            expected="one reservation, and no error: a second look tells whose it is",
            hint=4,
        )


async def _streams(store: PostgreSQLEventStore) -> int:
    """Right answers have used two addresses so far."""
    return len({event.aggregate_id async for event in store.read_all()})


async def _many_at_once(emails_class: Any, store: PostgreSQLEventStore) -> None:
    attempts = [emails_class(store).reserve("rush@shop.example", uuid4()) for _ in range(10)]
    taken = await asyncio.gather(*map(_is_taken, attempts))
    if taken.count(False) != 1:
        raise NotYet(
            seen=f"ten customers at once: {taken.count(False)} got the address",
            expected="one",
            hint=3,
        )


async def _it_can_be_given_back(emails_class: Any, store: PostgreSQLEventStore) -> None:
    cai, dan = uuid4(), uuid4()
    emails = emails_class(store)
    await emails.reserve(OTHER_EMAIL, cai)
    await emails.free(OTHER_EMAIL, dan)
    if not await _is_taken(emails.reserve(OTHER_EMAIL, dan)):
        raise NotYet(
            seen="Dan freed the address of Cai",
            expected="free does nothing for a customer who does not have the address",
            hint=5,
        )
    await emails.free(OTHER_EMAIL, cai)
    if await _is_taken(emails.reserve(OTHER_EMAIL, dan)):
        raise NotYet(
            seen="Cai gave the address back, and Dan cannot have it",
            expected="the last event decides who has it",
            hint=5,
        )
    if not await _is_taken(emails.reserve(OTHER_EMAIL, cai)):
        raise NotYet(
            seen="Cai got back the address that is Dan's by now",
            expected="the last event decides who has it",
            hint=5,
        )


EMAILS = Exercise(
    id="5.2",
    title="One customer for each address",
    task="""
Two customers must never have the same e-mail address. Write a class with `reserve(email,
customer_id)` and `free(email, customer_id)`, both async. `reserve` raises `EmailTakenError` if
another customer has the address, and does nothing if this customer has it already. `free` gives
it back, if it is this customer's. Case, and spaces around the address, do not count. Many servers
use your class at once.

The events are `EmailReserved` and `EmailFreed`, both of the aggregate type `"Email"` and with one
field of their own, `customer_id`. An address is a stream: who appended last decides whose it is.
""",
    answer="Emails",
    given=("db",),
    stub=STUB,
    hints=(
        """
Derive the stream's id from the address with `uuid5`, as `article_id` does. Then all who want the
address meet in one stream, and the store is the guard. A lock in your class guards one process
only, and a search over all streams guards nothing.
""",
        """
Bring the address into one form before you make an id of it: `email.strip().casefold()`.
""",
        """
Read the stream, find whose it is, decide, and append with the version that you read. `ANY` would
let in two who have both seen it free.
""",
        """
A conflict means that somebody was faster, and perhaps not somebody else's reservation for good.
Start again: on the second look you see whose it is. `AggregateRepository.update` with
`create=True` does that.
""",
        """
Fold the events from the first to the last: `EmailReserved` makes the address this customer's,
`EmailFreed` makes it nobody's.
""",
    ),
    solutions=SOLUTIONS,
    wrong=WRONG,
    check=_check_emails,
    time_limit_seconds=5,
)
