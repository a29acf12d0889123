"""Exercise 4.1: on a conflict read again, decide again, and give up some day."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from eventsource import (
    AppendResult,
    DomainEvent,
    EventStream,
    ExpectedVersion,
    OptimisticLockError,
    PostgreSQLEventStore,
    register_event,
)
from tutorial_support.database import Database
from tutorial_support.exercises.model import Exercise, NotYet
from tutorial_support.exercises.nb04.retry_answers import SOLUTIONS, WRONG
from tutorial_support.exercises.scratch import scratch_store

USES, ATTEMPTS = 3, 5
Answer = Callable[[PostgreSQLEventStore, UUID, Callable[[list[DomainEvent]], Any]], Awaitable[Any]]


@register_event
class CouponRedeemed(DomainEvent):
    aggregate_type: str = "Coupon"
    customer: str


class UsedUpError(Exception):
    """The coupon has been redeemed as often as it may be."""


class _ContestedStore(PostgreSQLEventStore):
    """A rival redeems the same coupon: before the first appends, or once you have decided."""

    rivals = 0
    appends = 0
    decided_on: UUID | None = None  #: by somebody who does not know yet that a rival has come

    async def get_events(self, aggregate_id: UUID, *args: Any, **options: Any) -> EventStream:
        await self._let_the_rival_in()
        return await super().get_events(aggregate_id, *args, **options)

    async def get_stream_version(self, aggregate_id: UUID, aggregate_type: str) -> int:
        await self._let_the_rival_in()
        return await super().get_stream_version(aggregate_id, aggregate_type)

    async def _let_the_rival_in(self) -> None:
        coupon, self.decided_on = self.decided_on, None
        if coupon is not None:
            await self._redeem(coupon)

    async def _redeem(self, coupon: UUID) -> None:
        rival = [redeemed(coupon, "rival")]
        await super().append_events(coupon, "Coupon", rival, ExpectedVersion.ANY)

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        self.appends += 1
        await self._let_the_rival_in()
        if self.rivals:
            self.rivals -= 1
            await self._redeem(aggregate_id)
        return await super().append_events(
            aggregate_id, aggregate_type, events, expected_version, transaction=transaction
        )


def redeemed(coupon: UUID, customer: str) -> CouponRedeemed:
    return CouponRedeemed(aggregate_id=coupon, customer=customer)


async def _run(
    store: _ContestedStore, answer: Answer, *, rivals: int, uses: int, late: bool = False
) -> tuple[list[str], Exception | None]:
    """Who has redeemed, and the error it ended with."""
    coupon = uuid4()
    store.rivals, store.appends, decisions = rivals, 0, 0

    def decide(events: list[DomainEvent]) -> list[DomainEvent]:
        nonlocal decisions
        decisions += 1
        if len(events) >= uses:
            raise UsedUpError
        if late and decisions == 1:
            store.decided_on = coupon
        return [redeemed(coupon, "you")]

    error = None
    try:
        await answer(store, coupon, decide)
    except (UsedUpError, OptimisticLockError) as raised:
        error = raised
    finally:
        store.rivals, store.decided_on = 0, None
    stored = (await store.get_events(coupon, "Coupon")).events
    return [event.customer for event in stored if isinstance(event, CouponRedeemed)], error


async def _check_retry(answer: Answer, db: Database) -> None:
    async with scratch_store("04-retry", db, _ContestedStore) as (store, _):
        customers, error = await _run(store, answer, rivals=0, uses=USES)
        if error or customers != ["you"]:
            raise NotYet(
                seen=f"without any rival the stream holds {len(customers)} events",
                expected="read the events, decide, append what was decided",
                hint=1,
            )
        await _a_rival_takes_the_last_use(store, answer)
        await _a_rival_comes_while_you_decide(store, answer)
        await _two_rivals_come_first(store, answer)
        await _rivals_without_end(store, answer)


async def _a_rival_takes_the_last_use(store: _ContestedStore, answer: Answer) -> None:
    customers, error = await _run(store, answer, rivals=1, uses=1)
    if customers != ["rival"]:
        raise NotYet(
            seen=f"a coupon for one use was redeemed {len(customers)} times",
            expected="the rival, who was first, and nobody else",
            hint=2 if store.appends == 1 else 3,
        )
    if isinstance(error, OptimisticLockError):
        raise NotYet(
            seen="OptimisticLockError after the first conflict",
            expected="another try, in which decide sees the rival's event",
            hint=3 if store.appends > 1 else 1,
        )
    if error is None:
        raise NotYet(
            seen="the coupon was used up, and your caller was told nothing",
            expected="what decide raises reaches the caller",
            hint=4,
        )


async def _a_rival_comes_while_you_decide(store: _ContestedStore, answer: Answer) -> None:
    """A version that is read after the decision hides the rival."""
    customers, _ = await _run(store, answer, rivals=0, uses=1, late=True)
    if customers != ["rival"]:
        raise NotYet(
            seen=f"a rival came while you decided, and {customers} redeemed a coupon for one use",
            expected="a conflict, and then a decision that sees the rival's event",
            hint=2,
        )


async def _two_rivals_come_first(store: _ContestedStore, answer: Answer) -> None:
    customers, error = await _run(store, answer, rivals=2, uses=USES)
    if error or customers != ["rival", "rival", "you"]:
        raise NotYet(
            seen=f"after two conflicts the stream holds {customers}",
            expected="two rivals and you: a third attempt works",
            hint=1,
        )


async def _rivals_without_end(store: _ContestedStore, answer: Answer) -> None:
    endless = 10 * ATTEMPTS
    _, error = await _run(store, answer, rivals=endless, uses=10 * endless)
    if store.appends != ATTEMPTS or not isinstance(error, OptimisticLockError):
        ending = type(error).__name__ if error else "no error"
        raise NotYet(
            seen=f"with a rival before every append: {store.appends} appends, then {ending}",
            expected=f"{ATTEMPTS} appends, then the last OptimisticLockError",
            hint=4,
        )


RETRY = Exercise(
    id="4.1",
    title="Try again",
    task="""
A coupon may be redeemed a limited number of times. `decide(events)` looks at the events of the
coupon and returns the list of events to append, or raises when the coupon is used up. Write the
loop around it: read the stream of type `"Coupon"`, decide, append. On a conflict do it **all**
again, five attempts in all; then let the last `OptimisticLockError` through.
""",
    answer="append_with_retry",
    given=("db",),
    stub='''
async def append_with_retry(store, coupon_id, decide):
    """Append what decide(events) returns; on a conflict start again, five attempts in all."""
    ...
''',
    hints=(
        """
One attempt is three lines: `get_events`, `decide`, `append_events` with the version that
`get_events` told you. Put `try` and `except OptimisticLockError` around them, and a `for` around
that.
""",
        """
`ExpectedVersion.ANY` never conflicts, so nobody tells you that your decision is out of date. Expect
the `version` of the stream that you decided on.
""",
        """
A conflict means that you decided on old events. The next attempt has to read *and decide* again: a
decision made before the rival came may now be wrong.
""",
        """
Catch `OptimisticLockError` and nothing else. Count the attempts, and `raise` when the fifth fails:
somebody has to learn that the coupon was not redeemed.
""",
    ),
    solutions=SOLUTIONS,
    wrong=WRONG,
    check=_check_retry,
    time_limit_seconds=5,
)
