"""Aggregates change by events, all of the way or not at all."""

import logging
from uuid import uuid4

import pytest
from pydantic import BaseModel

from eventsource import (
    AggregateMismatchError,
    AggregateNotFoundError,
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    EventPublishError,
    EventVersionError,
    InMemoryEventStore,
    OptimisticLockError,
    register_event,
)


@register_event
class Deposited(DomainEvent):
    aggregate_type: str = "Account"
    amount: int


class Balance(BaseModel):
    amount: int = 0


class Account(AggregateRoot[Balance]):
    aggregate_type = "Account"

    def _get_initial_state(self) -> Balance:
        return Balance()

    def _apply(self, event: DomainEvent) -> None:
        assert isinstance(event, Deposited)
        before = self._state or self._get_initial_state()
        self._state = Balance(amount=before.amount + event.amount)
        if event.amount < 0:
            raise ValueError("the handler failed after it had changed the state")

    def deposit(self, amount: int) -> None:
        self.apply_event(
            Deposited(
                aggregate_id=self.aggregate_id,
                aggregate_version=self.get_next_version(),
                amount=amount,
            )
        )


class Lenient(Account):
    validate_versions = False


@pytest.fixture
def account() -> Account:
    return Account(uuid4())


@pytest.fixture
def store() -> InMemoryEventStore:
    return InMemoryEventStore()


@pytest.fixture
def accounts(store: InMemoryEventStore) -> AggregateRepository[Account]:
    return AggregateRepository(
        event_store=store, aggregate_factory=Account, aggregate_type="Account"
    )


def deposit(account: Account, amount: int, version: int) -> Deposited:
    return Deposited(aggregate_id=account.aggregate_id, amount=amount, aggregate_version=version)


class TestAggregateRoot:
    def test_a_new_one_has_no_state(self, account: Account) -> None:
        assert (account.version, account.state, account.get_next_version()) == (0, None, 1)
        assert account.uncommitted_events == []
        assert not account.has_uncommitted_events

    def test_an_event_changes_state_and_version_and_waits_to_be_saved(
        self, account: Account
    ) -> None:
        account.deposit(5)
        account.deposit(7)
        assert (account.version, account.state) == (2, Balance(amount=12))
        assert [event.aggregate_version for event in account.uncommitted_events] == [1, 2]
        account.uncommitted_events.clear()
        assert account.has_uncommitted_events
        account.mark_events_as_committed()
        assert not account.has_uncommitted_events
        assert account.version == 2

    def test_a_handler_that_raises_changes_nothing(self, account: Account) -> None:
        account.deposit(5)
        with pytest.raises(ValueError, match="failed"):
            account.deposit(-1)
        assert (account.version, account.state) == (1, Balance(amount=5))
        assert len(account.uncommitted_events) == 1
        account.deposit(2)
        assert account.state == Balance(amount=7)

    @pytest.mark.parametrize("version", [1, 3])
    def test_an_event_out_of_turn_is_refused(self, account: Account, version: int) -> None:
        account.deposit(5)
        event = deposit(account, 1, version)
        with pytest.raises(EventVersionError) as error:
            account.apply_event(event)
        assert (error.value.expected_version, error.value.actual_version) == (2, version)
        assert (error.value.event_id, error.value.aggregate_id) == (
            event.event_id,
            account.aggregate_id,
        )
        assert (account.version, account.state) == (1, Balance(amount=5))

    def test_history_with_a_gap_is_refused(self, account: Account) -> None:
        with pytest.raises(EventVersionError):
            account.load_from_history([deposit(account, 1, 1), deposit(account, 1, 3)])

    def test_versions_may_be_left_unchecked_with_a_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        account = Lenient(uuid4())
        with caplog.at_level(logging.WARNING):
            account.load_from_history([deposit(account, 1, 1), deposit(account, 1, 5)])
        assert (account.version, account.state) == (5, Balance(amount=2))
        assert "validate_versions" in caplog.text

    def test_an_event_of_another_aggregate_is_refused(self, account: Account) -> None:
        for stray in (
            Deposited(aggregate_id=uuid4(), amount=1),
            Deposited(aggregate_id=account.aggregate_id, aggregate_type="Other", amount=1),
        ):
            for is_new in (True, False):
                with pytest.raises(AggregateMismatchError) as error:
                    account.apply_event(stray, is_new=is_new)
                assert error.value.expected == (account.aggregate_id, "Account")
        assert account.version == 0

    def test_one_of_no_type_takes_its_events_type(self) -> None:
        class Nameless(Account):
            aggregate_type = "Unknown"

        account = Nameless(uuid4())
        account.deposit(5)
        assert account.state == Balance(amount=5)

    def test_history_waits_for_no_save(self, account: Account) -> None:
        account.load_from_history([deposit(account, 1, 1), deposit(account, 2, 2)])
        assert (account.version, account.has_uncommitted_events) == (2, False)

    def test_identity_is_class_and_id(self, account: Account) -> None:
        twin = Account(account.aggregate_id)
        twin.deposit(1)
        assert account == twin
        assert hash(account) == hash(twin)
        assert account != Account(uuid4())
        assert account != Lenient(account.aggregate_id)
        assert account != "account"
        assert repr(twin) == f"Account({account.aggregate_id}, version=1, uncommitted=1)"

    def test_a_subclass_must_say_how_it_begins_and_applies(self) -> None:
        class Unfinished(AggregateRoot[Balance]):
            aggregate_type = "Account"

        with pytest.raises(TypeError, match=r"_apply.*_get_initial_state"):
            Unfinished(uuid4())  # type: ignore[abstract]


class Publisher:
    def __init__(self, error: Exception | None = None) -> None:
        self.published: list[DomainEvent] = []
        self.error = error

    async def publish(self, events: list[DomainEvent]) -> None:
        if self.error:
            raise self.error
        self.published += events


class TestAggregateRepository:
    async def test_what_is_saved_is_loaded(self, accounts: AggregateRepository[Account]) -> None:
        account = accounts.create_new(uuid4())
        account.deposit(5)
        account.deposit(6)
        await accounts.save(account)
        assert not account.has_uncommitted_events
        loaded = await accounts.load(account.aggregate_id)
        assert (loaded.version, loaded.state) == (2, Balance(amount=11))
        loaded.deposit(1)
        await accounts.save(loaded)
        assert await accounts.get_version(account.aggregate_id) == 3

    async def test_what_has_no_events_is_not_found(
        self, accounts: AggregateRepository[Account]
    ) -> None:
        missing = uuid4()
        with pytest.raises(AggregateNotFoundError, match=f"Account {missing}") as error:
            await accounts.load(missing)
        assert error.value.aggregate_id == missing
        assert not await accounts.exists(missing)
        assert await accounts.get_version(missing) == 0
        created = await accounts.load_or_create(missing)
        assert created.version == 0
        created.deposit(1)
        await accounts.save(created)
        assert await accounts.exists(missing)
        assert (await accounts.load_or_create(missing)).version == 1

    async def test_asking_for_the_version_reads_no_events(
        self,
        accounts: AggregateRepository[Account],
        store: InMemoryEventStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        account = accounts.create_new(uuid4())
        account.deposit(5)
        await accounts.save(account)
        monkeypatch.setattr(InMemoryEventStore, "_event", None)
        with pytest.raises(TypeError):
            await accounts.load(account.aggregate_id)
        assert await accounts.exists(account.aggregate_id)
        assert await accounts.get_version(account.aggregate_id) == 1

    async def test_saving_nothing_does_nothing(
        self, accounts: AggregateRepository[Account], store: InMemoryEventStore
    ) -> None:
        await accounts.save(accounts.create_new(uuid4()))
        assert await store.get_event_count() == 0

    async def test_a_conflict_leaves_the_aggregate_as_it_was(
        self, accounts: AggregateRepository[Account]
    ) -> None:
        account = accounts.create_new(uuid4())
        account.deposit(1)
        await accounts.save(account)
        mine, theirs = [await accounts.load(account.aggregate_id) for _ in range(2)]
        mine.deposit(10)
        theirs.deposit(100)
        await accounts.save(theirs)
        with pytest.raises(OptimisticLockError) as conflict:
            await accounts.save(mine)
        assert (conflict.value.expected_version, conflict.value.actual_version) == (1, 2)
        assert mine.state == Balance(amount=11)
        assert len(mine.uncommitted_events) == 1

    async def test_an_event_applied_during_a_save_is_not_lost(
        self, accounts: AggregateRepository[Account], store: InMemoryEventStore
    ) -> None:
        account = accounts.create_new(uuid4())
        account.deposit(1)

        class Meanwhile(InMemoryEventStore):
            async def append_events(self, *arguments, **keywords):  # type: ignore[no-untyped-def]
                account.deposit(2)
                return await store.append_events(*arguments, **keywords)

        await AggregateRepository(Meanwhile(), Account).save(account)
        assert [event.aggregate_version for event in account.uncommitted_events] == [2]
        await accounts.save(account)
        assert (await accounts.load(account.aggregate_id)).state == Balance(amount=3)

    async def test_saved_events_are_published(self, store: InMemoryEventStore) -> None:
        publisher = Publisher()
        accounts = AggregateRepository(store, Account, event_publisher=publisher)
        account = accounts.create_new(uuid4())
        account.deposit(1)
        account.deposit(2)
        events = account.uncommitted_events
        await accounts.save(account)
        assert publisher.published == events
        assert accounts.event_publisher is publisher

    async def test_a_failing_publisher_is_told_apart_from_a_failing_save(
        self, store: InMemoryEventStore
    ) -> None:
        trouble = RuntimeError("broker away")
        accounts = AggregateRepository(store, Account, event_publisher=Publisher(trouble))
        account = accounts.create_new(uuid4())
        account.deposit(1)
        event = account.uncommitted_events[0]
        with pytest.raises(EventPublishError, match=str(event.event_id)) as error:
            await accounts.save(account)
        assert error.value.__cause__ is trouble
        assert error.value.event_ids == (event.event_id,)
        assert await store.event_exists(event.event_id)
        assert not account.has_uncommitted_events

    def test_the_type_comes_from_the_class_or_the_argument(self, store: InMemoryEventStore) -> None:
        class Untyped(AggregateRoot[Balance]):
            def _get_initial_state(self) -> Balance:
                return Balance()

            def _apply(self, event: DomainEvent) -> None: ...

        accounts = AggregateRepository(store, Account)
        assert accounts.aggregate_type == "Account"
        assert accounts.event_store is store
        assert AggregateRepository(store, Untyped, "Free").aggregate_type == "Free"
        for factory, aggregate_type in [(Untyped, None), (Untyped, ""), (Untyped, "Unknown")]:
            with pytest.raises(ValueError, match="aggregate_type"):
                AggregateRepository(store, factory, aggregate_type)
        with pytest.raises(ValueError, match=r"'Other'.*'Account'"):
            AggregateRepository(store, Account, "Other")
