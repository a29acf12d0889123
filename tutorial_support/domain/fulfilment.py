"""Fulfilment: from an order to a paid parcel, or to money given back."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    EventStore,
    Process,
    ProcessManager,
    ProcessState,
    ProcessTimedOut,
    TimeoutRepository,
    handles,
    register_event,
)
from tutorial_support.domain.orders import OrderAggregate, OrderCreated


@register_event
class PaymentReceived(DomainEvent):
    aggregate_type: str = "Payment"
    order_id: UUID
    amount: Decimal


@register_event
class PaymentRefunded(DomainEvent):
    aggregate_type: str = "Payment"
    amount: Decimal


class Payment(AggregateRoot[DomainEvent]):
    """Its state is its last event."""

    aggregate_type = "Payment"

    def receive(self, order_id: UUID, amount: Decimal) -> None:
        event = PaymentReceived(aggregate_id=self.aggregate_id, order_id=order_id, amount=amount)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def refund(self) -> None:
        if isinstance(self.state, PaymentReceived):
            event = PaymentRefunded(aggregate_id=self.aggregate_id, amount=self.state.amount)
            self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def _get_initial_state(self) -> DomainEvent:
        raise TypeError("a payment begins when money is received")

    def _apply(self, event: DomainEvent) -> None:
        self._state = event


@register_event
class ShipmentRequested(DomainEvent):
    aggregate_type: str = "Shipment"


@register_event
class ShipmentSent(DomainEvent):
    aggregate_type: str = "Shipment"
    tracking_number: str


@register_event
class ShipmentFailed(DomainEvent):
    aggregate_type: str = "Shipment"
    reason: str


class Shipment(AggregateRoot[DomainEvent]):
    """One for each order, with the order's id. Its state is its last event."""

    aggregate_type = "Shipment"

    def request(self) -> None:
        self._happened(ShipmentRequested)

    def send(self, tracking_number: str) -> None:
        self._happened(ShipmentSent, tracking_number=tracking_number)

    def fail(self, reason: str) -> None:
        self._happened(ShipmentFailed, reason=reason)

    def _happened(self, event_class: type[DomainEvent], **fields: Any) -> None:
        event = event_class(aggregate_id=self.aggregate_id, **fields)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def _get_initial_state(self) -> DomainEvent:
        raise TypeError("a shipment begins when it is requested")

    def _apply(self, event: DomainEvent) -> None:
        self._state = event


class FulfilmentEvent(DomainEvent):
    aggregate_type: str = "Fulfilment"


@register_event
class FulfilmentStarted(FulfilmentEvent):
    amount: Decimal


@register_event
class FulfilmentPaid(FulfilmentEvent):
    payment_id: UUID


@register_event
class FulfilmentCompleted(FulfilmentEvent):
    tracking_number: str


@register_event
class FulfilmentCancelled(FulfilmentEvent):
    reason: str
    payment_id: UUID | None = None  # to give back


class FulfilmentState(ProcessState):
    status: str = "new"
    payment_id: UUID | None = None


class Fulfilment(Process[FulfilmentState]):
    aggregate_type = "Fulfilment"

    def start(self, order: OrderCreated) -> None:
        self._happened(FulfilmentStarted, amount=order.total)
        self.set_timeout("payment", order.occurred_at + timedelta(minutes=30))

    def pay(self, payment: PaymentReceived) -> None:
        if self.state and self.state.status == "FulfilmentStarted":
            self.clear_timeout("payment")
            self._happened(FulfilmentPaid, payment_id=payment.aggregate_id)

    def complete(self, shipment: ShipmentSent) -> None:
        if self.state and self.state.status == "FulfilmentPaid":
            self._happened(FulfilmentCompleted, tracking_number=shipment.tracking_number)

    def cancel(self, reason: str) -> None:
        if self.state and self.state.status in ("FulfilmentStarted", "FulfilmentPaid"):
            self._happened(FulfilmentCancelled, reason=reason, payment_id=self.state.payment_id)

    def _happened(self, event_class: type[FulfilmentEvent], **fields: Any) -> None:
        event = event_class(aggregate_id=self.aggregate_id, **fields)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def _get_initial_state(self) -> FulfilmentState:
        return FulfilmentState()

    @handles(FulfilmentEvent)
    def _remember(self, event: FulfilmentEvent) -> None:
        change = {"status": event.event_type} | event.model_dump(include={"payment_id"})
        self._state = (self.state or self._get_initial_state()).model_copy(update=change)


class HopefulManager(ProcessManager):
    def __init__(self, store: EventStore, timeouts: TimeoutRepository, **options: Any) -> None:
        super().__init__(AggregateRepository(store, Fulfilment), timeouts, **options)
        self.orders = AggregateRepository(store, OrderAggregate)
        self.payments = AggregateRepository(store, Payment)
        self.shipments = AggregateRepository(store, Shipment)

    @handles(OrderCreated)
    async def _start(self, event: OrderCreated) -> None:
        order_id = event.aggregate_id
        await self.processes.update(order_id, lambda it: it.start(event), create=True, cause=event)

    @handles(PaymentReceived)
    async def _pay(self, event: PaymentReceived) -> None:
        await self.processes.update(event.order_id, lambda it: it.pay(event), cause=event)

    @handles(FulfilmentPaid)
    async def _request(self, event: FulfilmentPaid) -> None:
        await self.shipments.update(event.aggregate_id, Shipment.request, create=True, cause=event)

    @handles(ShipmentSent)
    async def _complete(self, event: ShipmentSent) -> None:
        await self.processes.update(event.aggregate_id, lambda it: it.complete(event), cause=event)

    @handles(FulfilmentCompleted)
    async def _ship(self, event: FulfilmentCompleted) -> None:
        number = event.tracking_number
        await self.orders.update(event.aggregate_id, lambda it: it.ship(number), cause=event)


class FulfilmentManager(HopefulManager):
    @handles(ShipmentFailed)
    async def _cancel(self, event: ShipmentFailed) -> None:
        reason = event.reason
        await self.processes.update(event.aggregate_id, lambda it: it.cancel(reason), cause=event)

    @handles(ProcessTimedOut)
    async def _give_up(self, event: ProcessTimedOut) -> None:
        reason = f"no {event.name} in time"
        await self.processes.update(event.aggregate_id, lambda it: it.cancel(reason), cause=event)

    @handles(FulfilmentCancelled)
    async def _refund(self, event: FulfilmentCancelled) -> None:
        if event.payment_id:
            await self.payments.update(event.payment_id, Payment.refund, cause=event)
