"""Rules across streams: what was decided on must not have changed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4, uuid5

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from eventsource import (
    ConsistencyBoundary,
    DomainEvent,
    InMemoryEventStore,
    PostgreSQLEventStore,
    SchemaError,
    SQLiteDatabase,
    SQLiteEventStore,
    TagConflictError,
    TaggedEvents,
    register_event,
)
from eventsource.migrations import get_schema
from tests.till import feed
from tutorial_support.lab import eventually

SCHOOL = uuid4()


@register_event
class Enrolled(DomainEvent):
    aggregate_type: str = "Enrolment"
    course: str
    student: str


class FullError(Exception):
    pass


@pytest.fixture(params=["postgresql", "postgresql-partitioned", "sqlite"])
async def boundary(
    request: pytest.FixtureRequest, engine_of: Callable, tmp_path: Path, load_sql
) -> AsyncIterator[ConsistencyBoundary]:
    if request.param == "sqlite":
        async with SQLiteDatabase(tmp_path / "school.db") as database:
            await database.initialize()
            yield ConsistencyBoundary(SQLiteEventStore(database), database)
        return
    if request.param == "postgresql":
        url = request.getfixturevalue("database_url")
    else:
        url = request.getfixturevalue("empty_database_url")
        await load_sql(url, get_schema("events_partitioned"))
        await load_sql(url, get_schema("tags"))
    engine = engine_of(url, pool_size=20)
    yield ConsistencyBoundary(PostgreSQLEventStore(async_sessionmaker(engine)), engine)


@pytest.fixture
def store(boundary: ConsistencyBoundary):  # type: ignore[no-untyped-def]
    return boundary._event_store


def enrolled(course: str, student: str) -> Enrolled:
    return Enrolled(aggregate_id=uuid5(SCHOOL, student), course=course, student=student)


def tags_of(course: str, student: str) -> tuple[str, str]:
    return f"course:{course}", f"student:{student}"


async def enrol(
    boundary: ConsistencyBoundary, course: str, student: str, *, seats: int = 3, courses: int = 2
) -> list[DomainEvent]:
    def decision(events: Sequence[DomainEvent]) -> list[DomainEvent]:
        if sum(event.course == course for event in events) >= seats:
            raise FullError(course)
        if sum(event.student == student for event in events) >= courses:
            raise FullError(student)
        return [enrolled(course, student)]

    return await boundary.decide(tags_of(course, student), decision, retries=50)


async def ids(store) -> list[UUID]:  # type: ignore[no-untyped-def]
    return [stored.event_id for stored in await feed(store)]


async def test_a_decision_sees_the_events_of_all_its_tags_once_and_in_order(
    boundary: ConsistencyBoundary,
) -> None:
    for course, student in [("art", "Ann"), ("art", "Bob"), ("music", "Ann"), ("music", "Cid")]:
        await enrol(boundary, course, student)
    seen = await boundary.read("course:art", "student:Ann")
    assert [(event.course, event.student) for event in seen.events] == [
        ("art", "Ann"),
        ("art", "Bob"),
        ("music", "Ann"),
    ]
    assert seen.versions == {"course:art": 2, "student:Ann": 2}
    assert await boundary.read("course:none") == TaggedEvents([], {"course:none": 0})


async def test_an_append_fails_when_any_of_its_tags_has_moved(
    boundary: ConsistencyBoundary, store
) -> None:
    seen = await boundary.read("course:art", "student:Ann")
    await enrol(boundary, "art", "Bob")
    await enrol(boundary, "chess", "Cid")
    with pytest.raises(TagConflictError) as caught:
        await boundary.append([enrolled("art", "Ann")], seen)
    assert (caught.value.tag, caught.value.seen_version) == ("course:art", 0)
    await eventually(lambda: feed(store))
    assert len(await ids(store)) == 2
    assert (await boundary.read("student:Ann")).versions == {"student:Ann": 0}


async def test_a_batch_over_several_streams_is_stored_whole(
    boundary: ConsistencyBoundary, store
) -> None:
    seen = await boundary.read("course:art")
    batch = [enrolled("art", "Ann"), enrolled("art", "Bob"), enrolled("art", "Ann")]
    position = await boundary.append(batch, seen)

    async def last() -> bool:
        return [stored.position for stored in await feed(store)][-1:] == [position]

    await eventually(last)
    assert await ids(store) == [event.event_id for event in batch]
    again = await boundary.read("course:art")
    assert again.versions == {"course:art": 3}
    assert [event.aggregate_version for event in again.events] == [1, 1, 2]


async def test_a_batch_that_cannot_be_stored_leaves_nothing(
    boundary: ConsistencyBoundary, store
) -> None:
    class Unregistered(Enrolled):
        pass

    bad = Unregistered(aggregate_id=uuid4(), course="art", student="Bob")
    with pytest.raises(Exception, match="Unregistered"):
        await boundary.append([enrolled("art", "Ann"), bad], await boundary.read("course:art"))
    assert await ids(store) == []
    assert (await boundary.read("course:art")).versions == {"course:art": 0}


async def test_repeating_an_append_gives_the_first_answer(
    boundary: ConsistencyBoundary, store
) -> None:
    seen, event = await boundary.read("course:art"), enrolled("art", "Ann")
    first = await boundary.append([event], seen)
    await enrol(boundary, "art", "Bob")
    assert await boundary.append([event], seen) == first
    assert (await boundary.read("course:art")).versions == {"course:art": 2}


async def test_nothing_to_append_is_no_error(boundary: ConsistencyBoundary) -> None:
    assert await boundary.append([], await boundary.read("course:art")) is None
    assert await boundary.decide(["course:art"], lambda events: []) == []


async def test_a_refusal_reaches_the_caller(boundary: ConsistencyBoundary, store) -> None:
    await enrol(boundary, "art", "Ann", seats=1)
    with pytest.raises(FullError):
        await enrol(boundary, "art", "Bob", seats=1)
    with pytest.raises(FullError):
        await enrol(boundary, "chess", "Ann", courses=1)


async def test_the_last_retry_raises(
    boundary: ConsistencyBoundary, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, tries = boundary.append, 0

    async def too_late(events: Sequence[DomainEvent], seen: TaggedEvents) -> None:
        nonlocal tries
        tries += 1
        await append([enrolled("art", "Bob")], await boundary.read("course:art"))
        await append(events, seen)

    monkeypatch.setattr(boundary, "append", too_late)
    with pytest.raises(TagConflictError):
        await boundary.decide(["course:art"], lambda events: [enrolled("art", "Ann")], retries=2)
    assert tries == 3
    assert {event.student for event in (await boundary.read("course:art")).events} == {"Bob"}


async def test_there_is_no_negative_number_of_retries(boundary: ConsistencyBoundary) -> None:
    with pytest.raises(ValueError, match="retries"):
        await boundary.decide(["course:art"], lambda events: [], retries=-1)


@pytest.mark.parametrize("tags", [(), ("",), ("course:art", "")])
async def test_tags_have_names(boundary: ConsistencyBoundary, tags: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="Name the tags"):
        await boundary.read(*tags)


async def test_thirty_rivals_break_neither_rule(boundary: ConsistencyBoundary, store) -> None:
    """Thirty wishes, of ten students for three courses of three seats, two courses each."""

    async def wish(course: str, student: int) -> bool:
        try:
            await enrol(boundary, course, f"number {student}")
        except FullError:
            return False
        return True

    wishes = [(course, student) for student in range(10) for course in ("art", "chess", "music")]
    granted = await asyncio.gather(*(wish(*one) for one in wishes))

    async def all_stored() -> bool:
        return len(await feed(store)) == sum(granted)

    await eventually(all_stored)
    events = [stored.event for stored in await feed(store)]
    for field, most in (("course", 3), ("student", 2)):
        names = [getattr(event, field) for event in events]
        assert max(names.count(name) for name in names) <= most
    assert sum(granted) == 9  # and no seat stays empty


async def test_two_tags_that_each_stand_still_are_enough(
    boundary: ConsistencyBoundary, store
) -> None:
    """Write skew: two decisions, each of which reads what the other writes."""

    async def leave_one_on_call(doctor: str, barrier: asyncio.Barrier) -> bool:
        seen = await boundary.read("on call:Ann", "on call:Bob")
        await barrier.wait()
        try:
            await boundary.append([enrolled("off call", doctor)], seen)
        except TagConflictError:
            return False
        return True

    barrier = asyncio.Barrier(2)
    left = await asyncio.gather(*(leave_one_on_call(name, barrier) for name in ("Ann", "Bob")))
    assert sorted(left) == [False, True]


class InStep(PostgreSQLEventStore):
    """Lets two transactions make their first appends before either makes its second."""

    def __init__(self, session_factory: async_sessionmaker) -> None:
        super().__init__(session_factory)
        self.barrier, self.appends = asyncio.Barrier(2), 0

    async def append_events(self, *arguments, **options):  # type: ignore[no-untyped-def]
        result = await super().append_events(*arguments, **options)
        self.appends += 1
        if self.appends <= 2:
            await self.barrier.wait()
        return result


async def test_the_victim_of_a_deadlock_decides_again(database_url: str, engine_of) -> None:
    engine = engine_of(database_url)
    store = InStep(async_sessionmaker(engine))
    boundary = ConsistencyBoundary(store, engine)

    async def enrol_both(course: str, *students: str) -> None:
        events = [enrolled(course, student) for student in students]
        await boundary.decide([f"course:{course}"], lambda _: events)

    await asyncio.gather(enrol_both("art", "Ann", "Bob"), enrol_both("chess", "Bob", "Ann"))
    assert len(await feed(store)) == 4
    assert store.appends > 4  # the victim's first append was made again


async def test_a_database_without_the_table_says_what_to_run(
    empty_database_url: str, engine_of: Callable, load_sql
) -> None:
    await load_sql(empty_database_url, get_schema("events"))
    engine = engine_of(empty_database_url)
    boundary = ConsistencyBoundary(PostgreSQLEventStore(async_sessionmaker(engine)), engine)
    with pytest.raises(SchemaError, match=r"get_schema\('tags'\)"):
        await boundary.read("course:art")


def test_it_needs_a_database() -> None:
    with pytest.raises(TypeError):
        ConsistencyBoundary(InMemoryEventStore(), InMemoryEventStore())  # type: ignore[arg-type]
