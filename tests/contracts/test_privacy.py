"""Personal data: readable with the key, in no table without it, gone when the key is."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from eventsource import (
    ERASED,
    AggregateRepository,
    CheckpointTrackingProjection,
    DeclarativeAggregate,
    DecryptionError,
    DomainEvent,
    EventRegistry,
    EventStore,
    InMemoryCheckpointRepository,
    InMemoryDLQRepository,
    InMemoryEventStore,
    InMemoryKeyRepository,
    InMemoryOutboxRepository,
    InMemorySnapshotStore,
    KeyRepository,
    OutboxPublisher,
    Personal,
    PostgreSQLDLQRepository,
    PostgreSQLEventStore,
    PostgreSQLKeyRepository,
    PostgreSQLSnapshotStore,
    PrivacyError,
    PrivateEventStore,
    PrivateSnapshotStore,
    ReadOptions,
    SQLiteDatabase,
    SQLiteDLQRepository,
    SQLiteEventStore,
    SQLiteKeyRepository,
    SQLiteSnapshotStore,
    Subject,
    SubjectErasedError,
    SubscriptionConfig,
    SubscriptionManager,
    UnreadableEventError,
    Vault,
    handles,
    register_event,
    register_upcaster,
)
from eventsource.asyncpg_pool import executor_for
from eventsource.bus import InMemoryEventBus
from eventsource.events.confidential import MASK
from eventsource.projections.base import RetryPolicy
from eventsource.repositories.keys import PersonalKey
from eventsource.serialization import EventReader
from eventsource.testing import eventually

NAME, CITY = "Ada Lovelace", "Marylebone, Dorset Street 12"
MASTER = bytes(range(32))


@register_event
class MemberJoined(DomainEvent):
    aggregate_type: str = "Member"
    name: Personal


@register_event
class SealedParcelSent(DomainEvent):
    aggregate_type: str = "Member"
    member_id: UUID
    address: Annotated[Personal, Subject("member_id")]


@register_event
class MemberRenamed(DomainEvent):
    aggregate_type: str = "Member"
    name: Personal


@dataclass(frozen=True)
class MemberState:
    name: Personal
    parcels: tuple[Personal, ...] = ()


class Member(DeclarativeAggregate[MemberState]):
    aggregate_type = "Member"

    @handles(MemberJoined)
    def on_joined(self, event: MemberJoined) -> None:
        self._state = MemberState(event.name)

    @handles(MemberRenamed)
    def on_renamed(self, event: MemberRenamed) -> None:
        assert self._state is not None
        self._state = MemberState(event.name, self._state.parcels)

    @handles(SealedParcelSent)
    def on_sent(self, event: SealedParcelSent) -> None:
        assert self._state is not None
        self._state = MemberState(self._state.name, (*self._state.parcels, event.address))

    def raise_event(self, cls: type[DomainEvent], **fields: Any) -> None:
        version = self.get_next_version()
        self.apply_event(cls(aggregate_id=self.aggregate_id, aggregate_version=version, **fields))


@dataclass
class Place:
    """Everything that keeps something, on one backend, and a way to read all of it as bytes."""

    events: EventStore
    keys: KeyRepository
    snapshots: Any
    dead_letters: Any
    everything: Callable[[], Any]


async def postgresql_text(engine: AsyncEngine) -> bytes:
    fetch = executor_for(engine).fetch
    tables = await fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    texts = []
    for table in tables:
        texts += await fetch(f"SELECT t::text FROM {table['tablename']} AS t")
    return "\n".join(row[0] for row in texts).encode()


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("log.db*"))


@pytest.fixture(params=["in-memory", "sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path, engine_of) -> AsyncIterator[Place]:
    if request.param == "in-memory":
        store, snapshots, letters = (
            InMemoryEventStore(),
            InMemorySnapshotStore(),
            InMemoryDLQRepository(),
        )

        async def in_memory() -> bytes:
            databases = store._database, snapshots._source, letters._source
            return repr([list(each._connection.iterdump()) for each in databases]).encode()

        yield Place(store, InMemoryKeyRepository(), snapshots, letters, in_memory)
    elif request.param == "sqlite":
        async with SQLiteDatabase(tmp_path / "log.db") as database:
            await database.initialize()

            async def in_files() -> bytes:
                return bytes_of(tmp_path)

            yield Place(
                SQLiteEventStore(database, outbox_enabled=True),
                SQLiteKeyRepository(database),
                SQLiteSnapshotStore(database),
                SQLiteDLQRepository(database),
                in_files,
            )
    else:
        engine: AsyncEngine = engine_of(request.getfixturevalue("database_url"))
        yield Place(
            PostgreSQLEventStore(engine, outbox_enabled=True),
            PostgreSQLKeyRepository(engine),
            PostgreSQLSnapshotStore(engine),
            PostgreSQLDLQRepository(engine),
            lambda: postgresql_text(engine),
        )


@pytest.fixture
def vault(place: Place) -> Vault:
    return Vault(place.keys, MASTER)


@pytest.fixture
def store(place: Place, vault: Vault) -> PrivateEventStore:
    return PrivateEventStore(place.events, vault)


@pytest.fixture
def members(place: Place, store: PrivateEventStore, vault: Vault) -> AggregateRepository[Member]:
    return AggregateRepository(
        store,
        Member,
        snapshot_store=PrivateSnapshotStore(place.snapshots, vault),
        snapshot_threshold=2,
    )


async def is_in_feed(members: AggregateRepository[Member], member_id: UUID) -> bool:
    """A transaction elsewhere, ending at this very moment, may hold the feed back."""
    feed = members.event_store.read_all()
    return member_id in [stored.aggregate_id async for stored in feed]


async def join(members: AggregateRepository[Member], **fields: str) -> UUID:
    """A member with two events, of which there is a snapshot."""
    member_id = uuid4()
    member = members.create_new(member_id)
    member.raise_event(MemberJoined, name=fields.get("name", NAME))
    member.raise_event(SealedParcelSent, member_id=member_id, address=fields.get("address", CITY))
    await members.save(member)
    await eventually(lambda: is_in_feed(members, member_id))
    return member_id


async def read_everywhere(
    place: Place, store: PrivateEventStore, members: AggregateRepository[Member], member: UUID
) -> set[tuple[str, str]]:
    """Name and address as each way of reading gives them."""

    def texts(events: list[DomainEvent]) -> tuple[str, str]:
        joined, sent = events
        return joined.name.value, sent.address.value

    seen = {
        texts((await store.get_events(member, "Member")).events),
        texts(await store.get_events_by_type("Member")),
        texts([one.event async for one in store.read_stream(f"{member}:Member")]),
        texts([one.event async for one in store.read_all()]),
    }
    plain = AggregateRepository(store, Member)
    for repository in (plain, members):
        state = (await repository.load(member)).state
        assert state is not None
        seen.add((state.name.value, state.parcels[0].value))
    assert await place.snapshots.snapshot_exists(member, "Member")
    return seen


async def test_every_way_of_reading_gives_the_value_and_then_the_placeholder(
    place: Place, store: PrivateEventStore, members: AggregateRepository[Member], vault: Vault
) -> None:
    member = await join(members)
    assert await read_everywhere(place, store, members, member) == {(NAME, CITY)}
    await vault.erase(member)
    await vault.erase(member)
    assert await read_everywhere(place, store, members, member) == {(ERASED, ERASED)}
    loaded = await members.load(member)
    assert loaded.state is not None
    assert loaded.state.name.is_erased
    # A snapshot of what is erased can be taken, and what is not personal goes on.
    await members.create_snapshot(loaded)
    assert (await members.load(member)).state == loaded.state


class Failing(CheckpointTrackingProjection):
    def subscribed_to(self) -> list[type[DomainEvent]]:
        return [MemberJoined]

    async def _process_event(self, event: DomainEvent) -> None:
        assert isinstance(event, MemberJoined)
        assert event.name.value == NAME
        raise ValueError(f"cannot greet {event.name}")


async def test_no_table_and_no_log_holds_the_plain_text(
    place: Place,
    store: PrivateEventStore,
    members: AggregateRepository[Member],
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    member = await join(members)
    projection = Failing(dlq_repo=place.dead_letters, retry_policy=RetryPolicy(max_tries=1))
    with pytest.raises(ValueError, match="cannot greet"):
        await projection.catch_up(store)
    assert len(await place.dead_letters.get_failed_events()) == 1
    loaded = await members.load(member)
    bus = InMemoryEventBus(retry=RetryPolicy(max_tries=1))
    bus.subscribe(MemberJoined, projection.handle)
    await bus.publish((await store.get_events(member, "Member")).events)
    written = await place.everything()
    assert str(member).encode() in written, "the search does not look where the rows are"
    for secret in (NAME, "Ada", "Lovelace", CITY, "Dorset"):
        assert secret.encode() not in written
        assert secret not in caplog.text
        assert secret not in repr([loaded, loaded.state, store, vault])
    assert MASTER.hex() not in repr(vault)
    assert "cannot greet" in caplog.text
    for key in (await place.keys.get_keys([str(member)])).values():
        assert key.wrapped_key is not None


async def test_no_log_about_lost_dead_letters_or_outdated_snapshots_holds_the_plain_text(
    place: Place,
    store: PrivateEventStore,
    members: AggregateRepository[Member],
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(InMemoryDLQRepository):
        async def add_failed_event(self, *args: object, **options: object) -> None:
            raise OSError("disk full")

    class Clumsy(Failing):
        async def _process_event(self, event: DomainEvent) -> None:
            assert isinstance(event, MemberJoined)
            raise ValueError(f"cannot greet {event.name.value}")

    @dataclass(frozen=True)
    class NewState(MemberState):
        points: int = field(kw_only=True)

    class NewMember(Member, DeclarativeAggregate[NewState]):
        """With another state, and its author forgot to raise `schema_version`."""

    member = await join(members)
    with pytest.raises(ValueError, match="cannot greet"):
        await Clumsy(None, Full(), RetryPolicy(max_tries=1)).catch_up(store)
    assert "disk full" in caplog.text
    snapshots = PrivateSnapshotStore(place.snapshots, vault)
    await AggregateRepository(store, NewMember, snapshot_store=snapshots).load(member)
    assert "points: Field required" in caplog.text
    for secret in (NAME, "Lovelace", CITY, "Dorset"):
        assert secret not in caplog.text


async def test_no_health_check_holds_the_plain_text(
    place: Place, store: PrivateEventStore, members: AggregateRepository[Member]
) -> None:
    async def greet(event: DomainEvent) -> None:
        assert isinstance(event, MemberJoined)
        raise ValueError(f"cannot greet {event.name.value}")

    await join(members)
    manager = SubscriptionManager(
        store, None, InMemoryCheckpointRepository(), dlq_repo=place.dead_letters
    )
    once = SubscriptionConfig(event_types=[MemberJoined], retry=RetryPolicy(max_tries=1))
    subscription = await manager.subscribe(greet, once)
    async with manager:
        await eventually(place.dead_letters.get_failed_events)
        await manager.wait_until_live()
        told = f"{await manager.health_check()} {manager.get_error_stats()}"
    assert f"cannot greet {MASK}" in told
    assert NAME not in told
    assert NAME in str(subscription.last_error.error)  # for code that has to know


async def test_no_outbox_and_no_log_holds_what_a_publisher_opened(
    place: Place,
    store: PrivateEventStore,
    members: AggregateRepository[Member],
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    class Mail:
        async def publish(self, events: list[DomainEvent]) -> None:
            await vault.open_events(events)
            raise ValueError(f"no mail to {[event.name.value for event in events]}")

    outbox = InMemoryOutboxRepository()
    for _ in range(2):
        member = await join(members)
        await outbox.add_event((await store.get_events(member, "Member")).events[0])
    await OutboxPublisher(outbox, Mail(), max_attempts=1).publish_batch()
    failed = await outbox.get_failed_events()
    assert [entry.last_error for entry in failed] == [f"ValueError: no mail to ['{MASK}']"] * 2
    assert NAME not in caplog.text


async def test_nothing_new_is_stored_about_the_erased(
    members: AggregateRepository[Member], vault: Vault
) -> None:
    member = await join(members)
    await vault.erase(member)
    never_seen = uuid4()
    await vault.erase(never_seen)
    loaded = await members.load(member)
    loaded.raise_event(MemberRenamed, name=loaded.state.name)
    with pytest.raises(PrivacyError, match="erased"):
        await members.save(loaded)
    new = members.create_new(never_seen)
    new.raise_event(MemberJoined, name=NAME)
    with pytest.raises(SubjectErasedError, match=str(never_seen)):
        await members.save(new)
    assert not await members.exists(never_seen)
    other = await join(members)
    assert (await members.load(other)).state.name.value == NAME


async def test_a_value_may_be_taken_into_another_event(
    members: AggregateRepository[Member], store: PrivateEventStore
) -> None:
    member = await join(members)
    loaded = await members.load(member)
    loaded.raise_event(MemberRenamed, name=loaded.state.name)
    await members.save(loaded)
    events = (await store.get_events(member, "Member")).events
    assert events[0].name.value == events[2].name.value == NAME
    assert events[0].to_dict()["name"] != events[2].to_dict()["name"]


async def test_a_log_is_copied_without_its_keys(
    place: Place, store: PrivateEventStore, members: AggregateRepository[Member], vault: Vault
) -> None:
    member = await join(members)
    sealed = (await place.events.get_events(member, "Member")).events
    with pytest.raises(PrivacyError, match="sealed"):
        assert sealed[0].name.value
    copy = PrivateEventStore(InMemoryEventStore(), vault)
    await copy.append_events(member, "Member", sealed, 0)
    assert (await copy.get_events(member, "Member")) == await store.get_events(member, "Member")
    moved = MemberRenamed(aggregate_id=member, aggregate_version=3, name=sealed[0].name)
    with pytest.raises(PrivacyError, match="not opened"):
        await store.append_events(member, "Member", [moved], 2)


async def test_repeating_an_append_is_answered_as_the_first_time(
    store: PrivateEventStore,
) -> None:
    event = MemberJoined(aggregate_id=uuid4(), name=NAME)
    first = await store.append_events(event.aggregate_id, "Member", [event], 0)
    assert await store.append_events(event.aggregate_id, "Member", [event], 0) == first
    assert (await store.get_events(event.aggregate_id, "Member")).events == [event]


async def test_many_make_the_first_key_and_one_is_kept(
    place: Place, store: PrivateEventStore
) -> None:
    person = uuid4()
    events = [
        SealedParcelSent(aggregate_id=uuid4(), member_id=person, address=f"{CITY}/{n}")
        for n in range(12)
    ]
    await asyncio.gather(
        *(store.append_events(one.aggregate_id, "Member", [one], 0) for one in events)
    )
    feed = [stored.event.address.value async for stored in store.read_all()]
    assert sorted(feed) == sorted(f"{CITY}/{n}" for n in range(12))
    assert len(await place.keys.get_keys([str(person)])) == 1


async def test_the_master_key_is_rotated(
    place: Place, store: PrivateEventStore, members: AggregateRepository[Member], vault: Vault
) -> None:
    old = [await join(members) for _ in range(3)]
    await vault.erase(old[0])
    new_master = Vault.new_master_key()
    both = Vault(place.keys, new_master, MASTER)
    unread = PrivateEventStore(place.events, Vault(place.keys, new_master))
    with pytest.raises(DecryptionError, match="which this Vault lacks"):
        await unread.get_events(old[1], "Member")
    assert (await PrivateEventStore(place.events, both).get_events(old[1], "Member")).version == 2
    assert sum(await asyncio.gather(both.rotate(), both.rotate())) == 2
    assert await both.rotate() == 0
    events = (await unread.get_events(old[2], "Member")).events
    assert events[0].name.value == NAME
    erased = (await unread.get_events(old[0], "Member")).events
    assert erased[0].name.value == ERASED
    with pytest.raises(DecryptionError):
        await store.get_events(old[1], "Member")


async def test_a_key_under_another_name_is_refused(
    place: Place, store: PrivateEventStore, members: AggregateRepository[Member]
) -> None:
    ada, bob = str(await join(members)), str(await join(members, name="Bob"))
    keys = await place.keys.get_keys([ada, bob])
    stolen = PersonalKey(bob, keys[ada].wrapped_key, keys[ada].master_key_id)
    assert await place.keys.replace_key(keys[bob], stolen)
    with pytest.raises(DecryptionError, match="the key table"):
        await store.get_events(UUID(bob), "Member")


async def test_a_missing_key_is_an_error_and_no_erasure(
    place: Place, members: AggregateRepository[Member]
) -> None:
    member = await join(members)
    elsewhere = PrivateEventStore(place.events, Vault(InMemoryKeyRepository(), MASTER))
    with pytest.raises(DecryptionError, match="no key"):
        await elsewhere.get_events(member, "Member")


class TestKeyRepository:
    async def test_the_first_key_stays(self, place: Place) -> None:
        keys = place.keys
        first, second = PersonalKey("ada", b"\x00\x01", "m1"), PersonalKey("ada", b"\x02", "m1")
        await keys.add_key(first)
        await keys.add_key(second)
        assert await keys.get_keys(["ada", "bob"]) == {"ada": first}
        assert await keys.get_keys([]) == {}

    async def test_it_is_replaced_by_whom_has_seen_it(self, place: Place) -> None:
        keys = place.keys
        old, new = PersonalKey("ada", b"old", "m1"), PersonalKey("ada", b"new", "m2")
        await keys.add_key(old)
        assert await keys.get_subjects(except_master_key_id="m2") == ["ada"]
        assert await keys.replace_key(old, new)
        assert not await keys.replace_key(old, new)
        assert await keys.get_subjects(except_master_key_id="m2") == []
        assert await keys.get_keys(["ada"]) == {"ada": new}

    async def test_what_is_erased_does_not_come_back(self, place: Place) -> None:
        keys = place.keys
        old = PersonalKey("ada", b"old", "m1")
        await keys.add_key(old)
        for subject in ("ada", "ada", "bob"):
            await keys.erase_key(subject)
        await keys.add_key(old)
        assert not await keys.replace_key(old, old)
        assert await keys.get_subjects(except_master_key_id="m2") == []
        erased = {name: PersonalKey(name, None, None) for name in ("ada", "bob")}
        assert await keys.get_keys(["ada", "bob"]) == erased


@register_event
class CardPrinted(DomainEvent):
    aggregate_type: str = "Member"
    front: Personal
    back: Personal


class TestTampering:
    """Somebody writes into the log."""

    @pytest.fixture
    def vault(self) -> Vault:
        return Vault(InMemoryKeyRepository(), MASTER)

    @pytest.fixture
    async def stored(self, vault: Vault) -> list[dict[str, Any]]:
        events = [CardPrinted(aggregate_id=uuid4(), front="Ada", back="Bob") for _ in range(2)]
        return [event.to_dict() for event in await vault.seal_events(events)]

    @staticmethod
    async def read(vault: Vault, *stored: dict[str, Any]) -> None:
        events = [CardPrinted.model_validate_json(json.dumps(each)) for each in stored]
        await vault.open_events(events)

    async def test_untouched_it_is_read(self, vault: Vault, stored: list[dict[str, Any]]) -> None:
        await self.read(vault, *stored)

    @pytest.mark.parametrize("sealed", ["", "AAAA", "no base64!", "A" * 64, "é"])
    async def test_changed(self, vault: Vault, stored: list[dict[str, Any]], sealed: str) -> None:
        stored[0]["front"]["sealed"] = sealed
        with pytest.raises(DecryptionError, match="front"):
            await self.read(vault, *stored)

    async def test_moved_from_another_event(
        self, vault: Vault, stored: list[dict[str, Any]]
    ) -> None:
        stored[0]["front"] = stored[1]["front"]
        with pytest.raises(DecryptionError, match="moved here"):
            await self.read(vault, *stored)
        # And with the place made to look right.
        place = {"event_id": stored[0]["event_id"], "subject": stored[0]["aggregate_id"]}
        stored[0]["front"] = stored[1]["front"] | place
        with pytest.raises(DecryptionError, match="changed"):
            await self.read(vault, *stored)

    async def test_moved_from_another_field(
        self, vault: Vault, stored: list[dict[str, Any]]
    ) -> None:
        stored[0]["front"], stored[0]["back"] = stored[0]["back"], stored[0]["front"]
        with pytest.raises(DecryptionError, match="moved here"):
            await self.read(vault, *stored)


async def test_an_upcaster_may_rename_the_field() -> None:
    yesterday, today = EventRegistry(), EventRegistry()

    @register_event(registry=yesterday, event_type="Hired")
    class HiredYesterday(DomainEvent):
        suppress_event_type_warning = True
        aggregate_type: str = "Clerk"
        event_type: str = "Hired"
        name: Personal

    @register_event(registry=today)
    class Hired(DomainEvent):
        aggregate_type: str = "Clerk"
        event_version: int = 2
        full_name: Personal

    @register_upcaster("Hired", from_version=1, registry=today)
    def rename(data: dict[str, Any]) -> dict[str, Any]:
        full_name = data.pop("name")
        return {**data, "full_name": full_name}

    vault = Vault(InMemoryKeyRepository(), MASTER)
    (event,) = await vault.seal_events([HiredYesterday(aggregate_id=uuid4(), name=NAME)])
    read = EventReader(today).read("Hired", event.model_dump_json(), lambda: "here")
    assert isinstance(read, Hired)
    await vault.open_events([read])
    assert read.full_name.value == NAME


async def test_a_rolled_back_append_can_be_repeated(tmp_path: Path) -> None:
    async with SQLiteDatabase(tmp_path / "log.db") as database:
        await database.initialize()
        store = PrivateEventStore(
            SQLiteEventStore(database), Vault(SQLiteKeyRepository(database), MASTER)
        )
        event = MemberJoined(aggregate_id=uuid4(), name=NAME)
        with suppress(LookupError):
            async with database.transaction() as transaction:
                await store.append_events(
                    event.aggregate_id, "Member", [event], 0, transaction=transaction
                )
                raise LookupError
        assert (await store.get_events(event.aggregate_id, "Member")).is_empty
        await store.append_events(event.aggregate_id, "Member", [event], 0)
        (read,) = (await store.get_events(event.aggregate_id, "Member")).events
        assert read.name.value == NAME


async def test_an_append_in_a_transaction_seals_too(database_url: str, engine_of) -> None:
    engine = engine_of(database_url)
    store = PrivateEventStore(
        PostgreSQLEventStore(engine), Vault(PostgreSQLKeyRepository(engine), MASTER)
    )
    event = MemberJoined(aggregate_id=uuid4(), name=NAME)
    async with engine.begin() as connection:
        await store.append_events(event.aggregate_id, "Member", [event], 0, transaction=connection)
    (read,) = (await store.get_events(event.aggregate_id, "Member")).events
    assert read.name.value == NAME


async def test_a_long_feed_asks_for_its_keys_a_page_at_a_time() -> None:
    class Counting(InMemoryKeyRepository):
        asked = 0

        async def get_keys(self, *arguments: Any, **options: Any) -> dict[str, PersonalKey]:
            self.asked += 1
            return await super().get_keys(*arguments, **options)

    keys = Counting()
    store = PrivateEventStore(InMemoryEventStore(), Vault(keys, MASTER))
    member = uuid4()
    events = [
        MemberJoined(aggregate_id=member, aggregate_version=n, name=f"Ada {n}")
        for n in range(1, 251)
    ]
    await store.append_events(member, "Member", events, 0)
    keys.asked = 0
    names = [stored.event.name.value async for stored in store.read_all(ReadOptions(limit=240))]
    assert names == [f"Ada {n}" for n in range(1, 241)]
    assert keys.asked == 3


async def test_events_before_one_that_cannot_be_read_are_delivered(tmp_path: Path) -> None:
    path, keys, member = tmp_path / "log.db", InMemoryKeyRepository(), uuid4()
    joined = MemberJoined(aggregate_id=member, name=NAME)
    unknown = MemberRenamed(aggregate_id=member, aggregate_version=2, name=NAME)
    registry = EventRegistry()
    registry.register(MemberJoined)
    async with SQLiteEventStore(path) as log:
        await log.initialize()
        store = PrivateEventStore(log, Vault(keys, MASTER))
        await store.append_events(member, "Member", [joined, unknown], 0)
    async with SQLiteEventStore(path, registry) as log:
        store = PrivateEventStore(log, Vault(keys, MASTER))
        for reading in (store.read_all(), store.read_stream(f"{member}:Member")):
            assert (await anext(reading)).event == joined
            with pytest.raises(UnreadableEventError, match="MemberRenamed"):
                await anext(reading)
