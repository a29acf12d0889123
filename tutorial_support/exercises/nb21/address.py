"""Exercise 21.1: one field becomes three, on the way out of the log."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from eventsource import DomainEvent, EventRegistry, UnreadableEventError
from eventsource.serialization import EventReader, encode
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

ADDRESSES = {
    "12 Mill Lane, 90210 Springfield": ("12 Mill Lane", "90210", "Springfield"),
    "Flat 2, 7 High Street, 10115 Oldtown": ("Flat 2, 7 High Street", "10115", "Oldtown"),
    "1 Pier Road, 20095 New Harbour": ("1 Pier Road", "20095", "New Harbour"),
}
HINT_OF = dict(zip(ADDRESSES, (1, 2, 3), strict=True))


class AddressGiven(DomainEvent):
    """As it was stored for years."""

    aggregate_type: str = "Customer"
    address: str


class _AddressGiven2(DomainEvent):
    event_type: str = "AddressGiven"
    suppress_event_type_warning = True
    event_version: int = 2
    aggregate_type: str = "Customer"
    street: str
    postcode: str
    city: str


async def _check(split_address: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    registry = EventRegistry()
    registry.register(_AddressGiven2, "AddressGiven")
    registry.register_upcaster("AddressGiven", 1, split_address)
    reader = EventReader(registry)
    for address, parts in ADDRESSES.items():
        stored = AddressGiven(
            aggregate_id=UUID(int=1), address=address, metadata={"note": "ring twice"}
        )
        try:
            event = reader.read("AddressGiven", encode(stored), lambda: "the log")
        except UnreadableEventError as error:
            raise NotYet(
                seen=f"{address!r} cannot be read: {error.reason}",
                expected="the stored fields, without address, and with street, postcode and city",
                hint=HINT_OF[address],
            ) from None
        seen = tuple(getattr(event, name) for name in ("street", "postcode", "city"))
        if seen != parts:
            raise NotYet(
                seen=f"{address!r} becomes {seen}", expected=f"{parts}", hint=HINT_OF[address]
            )
        if event.metadata != stored.metadata or event.occurred_at != stored.occurred_at:
            raise NotYet(
                seen="an event that lost its metadata or its time",
                expected="everything else as it was stored",
                hint=1,
            )


ADDRESS = Exercise(
    id="21.1",
    title="Split an address",
    task="""
For years the shop stored `AddressGiven` with one text: `"12 Mill Lane, 90210 Springfield"`. Version
2 wants `street`, `postcode` and `city`. Write the upcaster: it takes the stored fields of version 1
and returns those of version 2. What stands before the last comma is the street.
""",
    answer="split_address",
    stub='''
def split_address(data):
    """The stored fields, with street, postcode and city instead of address."""
    ...
''',
    hints=(
        """
Return *all* fields: a copy of `data` without `"address"`, and with the three new ones. What you
leave out is gone, and a field that version 2 does not know is refused.
""",
        """
A street may contain a comma. `text.rsplit(", ", 1)` splits at the last one.
""",
        """
A city may contain a space. `text.partition(" ")` splits at the first one.
""",
    ),
    solutions=(
        """
def split_address(data):
    rest = dict(data)
    street, place = rest.pop("address").rsplit(", ", 1)
    postcode, _, city = place.partition(" ")
    return rest | {"street": street, "postcode": postcode, "city": city}
""",
        """
import re


def split_address(data):
    parts = re.fullmatch(r"(?P<street>.*), (?P<postcode>\\S+) (?P<city>.*)", data["address"])
    kept = {name: value for name, value in data.items() if name != "address"}
    return {**kept, **parts.groupdict()}
""",
    ),
    wrong=(
        Wrong(
            """
def split_address(data):
    street, place = data["address"].rsplit(", ", 1)
    postcode, _, city = place.partition(" ")
    return {"street": street, "postcode": postcode, "city": city}
""",
            hint=1,
        ),
        Wrong(
            """
def split_address(data):
    street, place = data["address"].rsplit(", ", 1)
    postcode, _, city = place.partition(" ")
    return data | {"street": street, "postcode": postcode, "city": city}
""",
            hint=1,
        ),
        Wrong(
            """
def split_address(data):
    street, place = data.pop("address").split(", ", 1)
    postcode, _, city = place.partition(" ")
    return data | {"street": street, "postcode": postcode, "city": city}
""",
            hint=2,
        ),
        Wrong(
            """
def split_address(data):
    street, place = data.pop("address").rsplit(", ", 1)
    postcode, city = place.split()
    return data | {"street": street, "postcode": postcode, "city": city}
""",
            hint=3,
        ),
    ),
    check=_check,
)
