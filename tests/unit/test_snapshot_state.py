"""A state that a snapshot keeps comes back as it was, or is not kept."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from eventsource import AggregateRoot, DeclarativeAggregate, DomainEvent, SnapshotError

T = TypeVar("T")


class Colour(Enum):
    RED = "red"


class Line(BaseModel):
    price: Decimal
    colour: Colour | None = None


class Cart(BaseModel):
    lines: dict[UUID, Line] = {}
    tags: set[str] = set()
    at: datetime | None = None
    pair: tuple[int, float] = (1, 0.5)
    note: str = ""


class Silent(AggregateRoot[T], Generic[T]):
    def _get_initial_state(self) -> T:
        raise NotImplementedError

    def _apply(self, event: DomainEvent) -> None: ...


class CartAggregate(Silent[Cart]):
    pass


class Special(CartAggregate):
    """The state's type is said further up."""


def restored(owner: type[AggregateRoot[Any]], state: Any) -> Any:
    one, other = owner(uuid4()), owner(uuid4())
    one._state = state
    other._restore_from_snapshot(one._serialize_state(), 7)
    assert other.version == 7
    return other.state


texts = st.text(st.characters(exclude_categories=["Cs"]))
lines = st.builds(Line, price=st.decimals(allow_nan=False, allow_infinity=False))
carts = st.builds(
    Cart,
    lines=st.dictionaries(st.uuids(), lines, max_size=3),
    tags=st.sets(texts, max_size=3),
    at=st.none() | st.datetimes(timezones=st.just(UTC)),
    pair=st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    note=texts,
)


@given(carts)
def test_every_state_comes_back_as_it_was(cart: Cart) -> None:
    assert restored(Special, cart) == cart


def test_a_dataclass_comes_back_too() -> None:
    @dataclass(frozen=True)
    class Tally:
        total: Decimal = Decimal("1.10")
        seen: frozenset[UUID] = field(default_factory=frozenset)

    class TallyAggregate(DeclarativeAggregate[Tally]):
        pass

    tally = Tally(seen=frozenset({uuid4()}))
    assert restored(TallyAggregate, tally) == tally


def test_no_state_keeps_only_the_version() -> None:
    assert restored(CartAggregate, None) is None


def _lossy() -> Iterator[tuple[type, Any]]:
    @dataclass
    class Loose:
        value: Any

    class LooseAggregate(Silent[Loose]):
        pass

    @dataclass(eq=False)
    class Nameless:
        value: int

    class NamelessAggregate(Silent[Nameless]):
        pass

    yield LooseAggregate, Loose(Decimal("1.10"))
    yield LooseAggregate, Loose((1, 2))
    yield LooseAggregate, Loose(float("nan"))
    yield LooseAggregate, Loose(object())
    yield NamelessAggregate, Nameless(1)
    yield CartAggregate, {"not": "a cart"}


@pytest.mark.parametrize(("owner", "state"), list(_lossy()))
def test_a_state_that_would_come_back_changed_is_refused(
    owner: type[AggregateRoot[Any]], state: Any
) -> None:
    with pytest.raises(SnapshotError, match=owner.__name__):
        restored(owner, state)


def test_a_state_that_nobody_can_write_is_refused() -> None:
    class Handmade:
        pass

    class HandmadeAggregate(Silent[Handmade]):
        pass

    class Unsaid(Silent):  # type: ignore[type-arg]
        pass

    class Number(Silent[int]):
        pass

    for owner, state, problem in (
        (HandmadeAggregate, Handmade(), "pydantic can write"),
        (Unsaid, Handmade(), "What is the state"),
        (Number, 3, "no object with fields"),
    ):
        with pytest.raises(SnapshotError, match=problem):
            restored(owner, state)


def test_a_stored_state_that_no_longer_fits_is_refused() -> None:
    with pytest.raises(SnapshotError, match="pair"):
        CartAggregate(uuid4())._restore_from_snapshot({"pair": "gone"}, 1)
