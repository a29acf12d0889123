"""Domain events: immutable, exact, named after their class."""

import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import Field, ValidationError

from eventsource import DomainEvent

AGGREGATE = uuid4()


class PaymentTaken(DomainEvent):
    aggregate_type: str = "Payment"
    amount: float = 1.0


def payment(**fields: Any) -> PaymentTaken:
    return PaymentTaken(aggregate_id=AGGREGATE, **fields)


def test_the_defaults() -> None:
    before = datetime.now(UTC)
    event = payment()
    assert isinstance(event.event_id, UUID)
    assert event.event_id != payment().event_id
    assert (event.event_version, event.aggregate_version) == (1, 1)
    assert before <= event.occurred_at <= datetime.now(UTC)
    assert isinstance(event.correlation_id, UUID)
    assert (event.tenant_id, event.actor_id, event.causation_id) == (None, None, None)
    assert event.metadata == {}


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        payment().amount = 2.0


def test_equal_events_are_equal_by_value_and_not_hashable() -> None:
    event = payment()
    assert event == event.model_copy()
    assert event != payment()
    with pytest.raises(TypeError):
        hash(event)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amoutn": 1},
        {"amount": float("nan")},
        {"amount": float("inf")},
        {"aggregate_version": 0},
        {"event_version": 0},
        {"occurred_at": datetime(2026, 3, 1)},  # noqa: DTZ001  # the mistake under test
        {"aggregate_id": "no uuid"},
    ],
)
def test_wrong_fields_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PaymentTaken(**{"aggregate_id": AGGREGATE, **wrong})


def test_times_become_utc() -> None:
    local = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    event = payment(occurred_at=local)
    assert event.occurred_at == local
    assert event.occurred_at.tzinfo is UTC


class TestEventType:
    def test_it_is_the_name_of_each_class_of_a_hierarchy(self) -> None:
        class Refunded(PaymentTaken):
            pass

        class PartlyRefunded(Refunded):
            event_type: str = "PartlyRefunded"

        class FullyRefunded(PartlyRefunded):
            pass

        for cls in (PaymentTaken, Refunded, PartlyRefunded, FullyRefunded):
            assert cls.model_fields["event_type"].default == cls.__name__
            assert cls(aggregate_id=AGGREGATE).event_type == cls.__name__

    def test_a_type_of_ones_own_is_kept_and_warned_about(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "eventsource.events.base"):

            class Settled(PaymentTaken):
                event_type: str = Field(default="payment.settled")

        assert Settled(aggregate_id=AGGREGATE).event_type == "payment.settled"
        (record,) = caplog.records
        assert record.name == "eventsource.events.base"
        assert "suppress_event_type_warning" in record.getMessage()

    def test_the_warning_can_be_turned_off(self, caplog: pytest.LogCaptureFixture) -> None:
        class Settled(PaymentTaken):
            suppress_event_type_warning = True
            event_type: str = "payment.settled"

        assert Settled(aggregate_id=AGGREGATE).event_type == "payment.settled"
        assert not caplog.records

    def test_an_argument_is_kept_and_an_empty_one_replaced(self) -> None:
        assert payment(event_type="Other").event_type == "Other"
        assert payment(event_type="").event_type == "PaymentTaken"
        data = payment().to_dict() | {"event_type": ""}
        assert PaymentTaken.from_dict(data).event_type == "PaymentTaken"
        assert data["event_type"] == ""

    def test_an_empty_type_in_the_class_is_the_name(self) -> None:
        class Blank(PaymentTaken):
            event_type: str = ""

        assert Blank(aggregate_id=AGGREGATE).event_type == "Blank"


def test_copies_carry_cause_metadata_and_version() -> None:
    cause = payment()
    effect = payment(metadata={"a": 1}).with_causation(cause)
    assert effect.is_caused_by(cause)
    assert effect.is_correlated_with(cause)
    assert not cause.is_caused_by(effect)
    assert effect.with_metadata(b=2, a=3).metadata == {"a": 3, "b": 2}
    assert effect.metadata == {"a": 1}
    assert effect.with_aggregate_version(7).aggregate_version == 7
    with pytest.raises(ValueError, match="1"):
        effect.with_aggregate_version(0)


def test_a_dict_and_back() -> None:
    event = payment(tenant_id=uuid4(), metadata={"x": [1]})
    data = event.to_dict()
    assert data["event_id"] == str(event.event_id)
    assert isinstance(data["occurred_at"], str)
    assert PaymentTaken.from_dict(data) == event


def test_it_shows_what_identifies_it() -> None:
    event = payment(aggregate_version=3)
    for part in ("PaymentTaken", str(event.event_id), str(AGGREGATE), "3"):
        assert part in str(event)
        assert part in repr(event)
