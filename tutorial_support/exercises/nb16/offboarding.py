"""Exercise 16.2: a shop leaves, takes its data along, and leaves nobody's behind."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID, uuid4

from eventsource import (
    ERASED,
    InMemoryEventStore,
    InMemoryKeyRepository,
    Personal,
    PrivateEventStore,
    Subject,
    TenantDomainEvent,
    Vault,
    register_event,
)
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

NORTH, SOUTH = UUID(int=1), UUID(int=2)

OffBoard = Callable[[PrivateEventStore, Vault, UUID], Awaitable[list[str]]]


@register_event
class SubscriberJoined(TenantDomainEvent):
    aggregate_type: str = "Subscriber"
    name: Personal


@register_event
class GiftSent(TenantDomainEvent):
    aggregate_type: str = "Gift"
    recipient_id: UUID
    name: Annotated[Personal, Subject("recipient_id")]


async def _check_offboarding(off_board: OffBoard) -> None:
    vault = Vault(InMemoryKeyRepository(), Vault.new_master_key())
    store = PrivateEventStore(InMemoryEventStore(), vault)
    names = {NORTH: ["Ann", "Ben", "Cem"], SOUTH: ["Dora", "Eli"]}
    for tenant, (subscriber, *recipients) in names.items():
        events: list[TenantDomainEvent] = [
            SubscriberJoined(aggregate_id=uuid4(), tenant_id=tenant, name=Personal(subscriber))
        ]
        events += [
            GiftSent(
                aggregate_id=uuid4(), tenant_id=tenant, recipient_id=uuid4(), name=Personal(name)
            )
            for name in recipients
        ]
        for event in events:
            await store.append_events(event.aggregate_id, event.aggregate_type, [event], 0)
    taken_along = await off_board(store, vault, NORTH)
    await _judge(store, taken_along, names)


async def _judge(
    store: PrivateEventStore, taken_along: object, names: dict[UUID, list[str]]
) -> None:
    left: dict[UUID | None, list[str]] = {NORTH: [], SOUTH: []}
    async for stored in store.read_all():
        event = stored.event
        assert isinstance(event, SubscriberJoined | GiftSent)
        left[event.tenant_id].append(event.name.value)
    if left[SOUTH] != names[SOUTH] or (
        isinstance(taken_along, list) and {*map(str, taken_along)} & {*names[SOUTH]}
    ):
        raise NotYet(
            seen="shop south, which stays, has lost its names, or north has taken them along",
            expected="north's persons erased and exported, and nobody else",
            hint=1,
        )
    if taken_along != names[NORTH]:
        raise NotYet(
            seen=f"north takes along {taken_along}",
            expected=f"a list of its persons' names as text, in the order of the log: "
            f"{names[NORTH]}",
            hint=2,
        )
    if left[NORTH] != [ERASED] * len(names[NORTH]):
        readable = [name for name in left[NORTH] if name != ERASED]
        raise NotYet(
            seen=f"still readable of north: {', '.join(readable)}",
            expected="nobody",
            hint=3,
        )


def _answer(body: str) -> str:
    return f"async def off_board(store, vault, tenant):{body}"


OFFBOARDING = Exercise(
    id="16.2",
    title="Let a shop leave",
    task="""
A shop closes its account. It gets the names of all its persons as a list of text, in the order
of the log; then nobody must be able to read them any more. The log has two types of events with
a `name`: in `SubscriberJoined` it is that of the aggregate, in `GiftSent` that of the person
`recipient_id`. The other shops stay as they are.

`store` is a `PrivateEventStore` with the events of all shops, `vault` has its keys.
""",
    answer="off_board",
    stub='''
async def off_board(store, vault, tenant):
    """The names of the tenant's persons, who are unreadable afterwards."""
    ...
''',
    hints=(
        """
`store.read_all()` gives the events of all shops: `async for stored in store.read_all()`, and
`stored.event` is the event. Its `tenant_id` says whose it is.
""",
        """
`event.name` hides; `event.name.value` is the text. Collect all of it first: once a key is
destroyed, every event of its person gives the placeholder.
""",
        """
`vault.erase` wants to know *who*. For a `SubscriberJoined` that is `event.aggregate_id`, for a
`GiftSent` it is `event.recipient_id`; `event.event_type` tells them apart.
""",
    ),
    solutions=(
        _answer("""
    events = [stored.event async for stored in store.read_all()]
    leaving = [event for event in events if event.tenant_id == tenant]
    names = [event.name.value for event in leaving]
    for event in leaving:
        is_gift = event.event_type == "GiftSent"
        await vault.erase(event.recipient_id if is_gift else event.aggregate_id)
    return names
"""),
        _answer("""
    persons = {}
    async for stored in store.read_all():
        if stored.event.tenant_id == tenant:
            whose = getattr(stored.event, "recipient_id", stored.event.aggregate_id)
            persons[whose] = stored.event.name.value
    for person in persons:
        await vault.erase(person)
    return list(persons.values())
"""),
    ),
    wrong=(
        Wrong(
            _answer("""
    events = [stored.event async for stored in store.read_all()]
    names = [event.name.value for event in events if event.tenant_id == tenant]
    for event in events:
        await vault.erase(getattr(event, "recipient_id", event.aggregate_id))
    return names
"""),
            hint=1,
        ),
        Wrong(
            _answer("""
    names = []
    async for stored in store.read_all():
        if stored.event.tenant_id == tenant:
            names.append(stored.event.name)
            await vault.erase(getattr(stored.event, "recipient_id", stored.event.aggregate_id))
    return names
"""),
            hint=2,
        ),
        Wrong(
            _answer("""
    async for stored in store.read_all():
        if stored.event.tenant_id == tenant:
            await vault.erase(getattr(stored.event, "recipient_id", stored.event.aggregate_id))
    events = [stored.event async for stored in store.read_all()]
    return [event.name.value for event in events if event.tenant_id == tenant]
"""),
            hint=2,
        ),
        Wrong(
            _answer("""
    events = [stored.event async for stored in store.read_all()]
    leaving = [event for event in events if event.tenant_id == tenant]
    for event in leaving:
        await vault.erase(event.aggregate_id)
    return [event.name.value for event in leaving]
"""),
            hint=3,
        ),
    ),
    check=_check_offboarding,
    time_limit_seconds=2,
)
