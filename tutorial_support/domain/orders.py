"""Orders: created for a customer, shipped once."""

from decimal import Decimal

from pydantic import BaseModel

from eventsource import AggregateRoot, DomainEvent, register_event


@register_event
class OrderCreated(DomainEvent):
    aggregate_type: str = "Order"
    customer_id: str
    total: Decimal


@register_event
class OrderShipped(DomainEvent):
    aggregate_type: str = "Order"
    tracking_number: str


class OrderState(BaseModel):
    customer_id: str | None = None
    total: Decimal = Decimal(0)
    status: str = "draft"
    tracking_number: str | None = None


class OrderAggregate(AggregateRoot[OrderState]):
    aggregate_type = "Order"

    def create(self, customer_id: str, total: Decimal) -> None:
        if self.version > 0:
            raise ValueError("this order exists already")
        event = OrderCreated(aggregate_id=self.aggregate_id, customer_id=customer_id, total=total)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def ship(self, tracking_number: str) -> None:
        if self.state is None or self.state.status != "created":
            raise ValueError("only an order that was created, and not shipped yet, can be shipped")
        event = OrderShipped(aggregate_id=self.aggregate_id, tracking_number=tracking_number)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def _get_initial_state(self) -> OrderState:
        return OrderState()

    def _apply(self, event: DomainEvent) -> None:
        state = self.state or self._get_initial_state()
        match event:
            case OrderCreated(customer_id=customer, total=total):
                change = {"customer_id": customer, "total": total, "status": "created"}
            case OrderShipped(tracking_number=number):
                change = {"tracking_number": number, "status": "shipped"}
            case _:
                raise TypeError(f"an order knows nothing of {event.event_type}")
        self._state = state.model_copy(update=change)
