"""Exercise 21.2: money that comes after the order was given up."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from eventsource import AggregateRepository, InMemoryEventStore, InMemoryTimeoutRepository
from tutorial_support.domain import FulfilmentManager
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

LATER = datetime.now(UTC) + timedelta(days=1)


async def _check(patient_fulfilment: Any) -> None:
    told = await _events_of(patient_fulfilment, late=True)
    if "ShipmentRequested" in told:
        raise NotYet(
            seen="a parcel for an order that was given up",
            expected="a cancelled order stays cancelled",
            hint=2,
        )
    if told.count("PaymentRefunded") != 2:
        raise NotYet(
            seen=f"of two late payments {told.count('PaymentRefunded')} went back",
            expected="each payment for a cancelled order goes back once",
            hint=1,
        )
    told = await _events_of(patient_fulfilment, late=False)
    if "PaymentRefunded" in told or "ShipmentRequested" not in told:
        raise NotYet(
            seen="an order that was paid in time is not shipped, or its money goes back",
            expected="such an order goes on as before",
            hint=3,
        )


async def _events_of(fulfilment: Any, *, late: bool) -> list[str]:
    """What is in the log after an order and its payment; late, there are two."""
    store = InMemoryEventStore()
    clock: Callable[[], datetime] = (lambda: LATER) if late else (lambda: datetime.now(UTC))
    manager = FulfilmentManager(store, InMemoryTimeoutRepository(), clock=clock)
    manager.processes = AggregateRepository(store, fulfilment)
    order_id = uuid4()
    order = manager.orders.create_new(order_id)
    order.create("cust-1", Decimal(20))
    await manager.orders.save(order)
    await manager.catch_up(store)
    for _ in range(2 if late else 1):
        payment = manager.payments.create_new(uuid4())
        payment.receive(order_id, Decimal(20))
        await manager.payments.save(payment)
        await manager.catch_up(store)
    return [stored.event_type async for stored in store.read_all()]


LATE_PAYMENT = Exercise(
    id="21.2",
    title="Money that comes too late",
    task="""
Order and payment cross: the process has timed out, the order is cancelled, and *then* the money
arrives. `Fulfilment.pay` ignores it, so the shop keeps the money. Override `pay` in a subclass: a
payment for a cancelled order goes back, and nothing else changes. The manager already refunds what
a `FulfilmentCancelled` names.
""",
    answer="PatientFulfilment",
    stub="""
class PatientFulfilment(Fulfilment):
    def pay(self, payment):
        super().pay(payment)
""",
    hints=(
        """
`self.state.status == "FulfilmentCancelled"` is the case to catch. Record a `FulfilmentCancelled`
once more, with `payment_id=payment.aggregate_id`: the manager gives that money back.
""",
        """
Do not record `FulfilmentPaid` after the end: the manager requests a shipment for it. Others may
have bought the article meanwhile.
""",
        """
Only payments for cancelled orders go back. Let `super().pay(payment)` decide about all others.
""",
    ),
    solutions=(
        """
class PatientFulfilment(Fulfilment):
    def pay(self, payment):
        if self.state.status == "FulfilmentCancelled":
            late = {"reason": "paid too late", "payment_id": payment.aggregate_id}
            self._happened(FulfilmentCancelled, **late)
        else:
            super().pay(payment)
""",
        """
class PatientFulfilment(Fulfilment):
    def pay(self, payment):
        super().pay(payment)
        if self.state.status != "FulfilmentCancelled":
            return
        self.apply_event(
            FulfilmentCancelled(
                aggregate_id=self.aggregate_id,
                aggregate_version=self.version + 1,
                reason="too late",
                payment_id=payment.aggregate_id,
            )
        )
""",
        """
class RefundsLateMoney:
    def pay(self, payment):
        if self.state.status != "FulfilmentCancelled":
            return super().pay(payment)
        late = {"reason": "it came late", "payment_id": payment.aggregate_id}
        self._happened(FulfilmentCancelled, **late)


class PatientFulfilment(RefundsLateMoney, Fulfilment):
    pass
""",
    ),
    wrong=(
        Wrong(
            """
class PatientFulfilment(Fulfilment):
    def pay(self, payment):
        super().pay(payment)
        if self.state.status == "FulfilmentCancelled":
            self.cancel("paid too late")
""",
            hint=1,
        ),
        Wrong(
            """
class PatientFulfilment(Fulfilment):
    def pay(self, payment):
        if self.state.status == "FulfilmentCancelled":
            self._happened(FulfilmentPaid, payment_id=payment.aggregate_id)
        else:
            super().pay(payment)
""",
            hint=2,
        ),
        Wrong(
            """
class PatientFulfilment(Fulfilment):
    def pay(self, payment):
        super().pay(payment)
        late = {"reason": "paid too late", "payment_id": payment.aggregate_id}
        self._happened(FulfilmentCancelled, **late)
""",
            hint=3,
        ),
    ),
    check=_check,
)
