"""Given-when-then passes for what holds and fails for everything else."""

from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from eventsource import AggregateRoot, DomainEvent
from eventsource.testing import eventually, given

ID = uuid4()


class Opened(DomainEvent):
    aggregate_type: str = "Account"


class Withdrawn(DomainEvent):
    aggregate_type: str = "Account"
    amount: int
    currency: str = "EUR"


class Balance(BaseModel):
    amount: int


class Account(AggregateRoot[Balance]):
    aggregate_type = "Account"

    def _get_initial_state(self) -> Balance:
        return Balance(amount=10)

    def _apply(self, event: DomainEvent) -> None:
        before = self._state or self._get_initial_state()
        taken = event.amount if isinstance(event, Withdrawn) else 0
        self._state = Balance(amount=before.amount - taken)

    def withdraw(self, amount: int, actor: str | None = None) -> None:
        if amount > 10:
            raise ValueError("not that much")
        self.apply_event(
            Withdrawn(
                aggregate_id=self.aggregate_id,
                aggregate_version=self.get_next_version(),
                amount=amount,
                actor_id=actor,
            )
        )

    def cheat(self) -> None:
        self.withdraw(1)
        self._state = Balance(amount=1_000_000)

    def leave_a_trace(self) -> None:
        self.withdraw(1)
        raise ValueError("too late")

    async def slow(self) -> None: ...


OPENED = Opened(aggregate_id=ID)


def withdrawn(amount: int, **fields: object) -> Withdrawn:
    return Withdrawn(aggregate_id=ID, amount=amount, **fields)


def test_what_holds_passes() -> None:
    scenario = given(Account, OPENED, withdrawn(3)).when(lambda account: account.withdraw(4))
    scenario.then(withdrawn(4)).then_state(Balance(amount=3))
    assert scenario.aggregate.version == 3
    given(Account, OPENED).when(lambda account: None).then()
    given(Account, OPENED).when(lambda account: account.withdraw(4, "ann")).then(
        withdrawn(4, actor_id="ann")
    )
    given(Account, OPENED).when(lambda account: account.withdraw(4, "ann")).then(withdrawn(4))
    given(Account, aggregate_id=ID).when(lambda account: account.withdraw(4)).then(withdrawn(4))
    given(Account).when(lambda account: account.withdraw(11)).then_raises(ValueError, "not that")


@pytest.mark.parametrize(
    "expected",
    [
        (),
        (withdrawn(5),),
        (withdrawn(4), withdrawn(4)),
        (withdrawn(4, currency="USD"),),
        (withdrawn(4, actor_id="bob"),),
        (Withdrawn(aggregate_id=uuid4(), amount=4),),
        (OPENED,),
    ],
)
def test_other_events_fail(expected: tuple[DomainEvent, ...]) -> None:
    scenario = given(Account, OPENED).when(lambda account: account.withdraw(4, "ann"))
    with pytest.raises(AssertionError, match=r"but got:\n  Withdrawn\(.*amount=4"):
        scenario.then(*expected)


def test_an_error_where_events_were_expected_fails() -> None:
    scenario = given(Account, OPENED).when(lambda account: account.withdraw(11))
    for claim in (scenario.then, lambda: scenario.then_state(None)):
        with pytest.raises(AssertionError, match="raised ValueError"):
            claim()


def test_the_wrong_error_or_none_fails() -> None:
    with pytest.raises(AssertionError, match="Expected ValueError, but got"):
        given(Account).when(lambda account: account.withdraw(1)).then_raises(ValueError)
    refused = given(Account).when(lambda account: account.withdraw(11))
    with pytest.raises(AssertionError, match="Expected KeyError"):
        refused.then_raises(KeyError)
    with pytest.raises(AssertionError, match="matching 'other'"):
        refused.then_raises(ValueError, "other")


def test_a_refusal_that_leaves_events_behind_fails() -> None:
    with pytest.raises(AssertionError, match="left behind"):
        given(Account, OPENED).when(Account.leave_a_trace).then_raises(ValueError)


def test_a_wrong_state_fails() -> None:
    scenario = given(Account, OPENED).when(lambda account: account.withdraw(4))
    with pytest.raises(AssertionError, match="amount=6"):
        scenario.then_state(Balance(amount=7))


def test_a_command_that_changes_state_past_its_events_fails() -> None:
    with pytest.raises(AssertionError, match="its events give Balance"):
        given(Account, OPENED).when(Account.cheat).then(withdrawn(1))


def test_a_scenario_has_one_plain_command() -> None:
    scenario = given(Account, OPENED)
    with pytest.raises(RuntimeError, match="Call when"):
        scenario.then()
    with pytest.raises(TypeError, match="plain function"):
        scenario.when(Account.slow)
    with pytest.raises(RuntimeError, match="one command"):
        scenario.when(Account.cheat)


async def test_eventually_waits_for_plain_and_async_conditions() -> None:
    seen: list[UUID] = []

    async def enough() -> list[UUID]:
        seen.append(uuid4())
        return seen if len(seen) > 3 else []

    assert await eventually(enough) is seen
    with pytest.raises(AssertionError, match=r"for the moon; the last value was 0"):
        await eventually(lambda: 0, timeout_seconds=0.05, what="the moon")
