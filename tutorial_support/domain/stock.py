"""Stock: how many of an article are on the shelf, and for which orders some are put aside."""

from uuid import UUID

from pydantic import BaseModel, PositiveInt

from eventsource import DeclarativeAggregate, DomainEvent, handles, register_event


class OutOfStockError(Exception):
    """More is wanted than is left."""


@register_event
class StockReceived(DomainEvent):
    aggregate_type: str = "Stock"
    quantity: PositiveInt


@register_event
class StockReserved(DomainEvent):
    aggregate_type: str = "Stock"
    order_id: UUID
    quantity: PositiveInt


@register_event
class StockReleased(DomainEvent):
    aggregate_type: str = "Stock"
    order_id: UUID
    quantity: PositiveInt


class StockState(BaseModel):
    on_hand: int = 0
    reserved: dict[UUID, int] = {}

    @property
    def available(self) -> int:
        return self.on_hand - sum(self.reserved.values())


class Stock(DeclarativeAggregate[StockState]):
    aggregate_type = "Stock"

    def receive(self, quantity: int) -> None:
        self._happened(StockReceived, quantity=quantity)

    def reserve(self, order_id: UUID, quantity: int = 1) -> None:
        if order_id in self.now.reserved:
            return  # asked again: it has its share
        if quantity > self.now.available:
            raise OutOfStockError(f"{quantity} wanted, {self.now.available} left")
        self._happened(StockReserved, order_id=order_id, quantity=quantity)

    def release(self, order_id: UUID) -> None:
        if quantity := self.now.reserved.get(order_id):
            self._happened(StockReleased, order_id=order_id, quantity=quantity)

    @property
    def now(self) -> StockState:
        return self.state or StockState()

    def _happened(self, event_class: type[DomainEvent], **facts: object) -> None:
        ids = {"aggregate_id": self.aggregate_id, "aggregate_version": self.get_next_version()}
        self.apply_event(event_class.model_validate(ids | facts))

    @handles(StockReceived)
    def _received(self, event: StockReceived) -> None:
        self._state = self.now.model_copy(update={"on_hand": self.now.on_hand + event.quantity})

    @handles(StockReserved)
    def _reserved(self, event: StockReserved) -> None:
        reserved = self.now.reserved | {event.order_id: event.quantity}
        self._state = self.now.model_copy(update={"reserved": reserved})

    @handles(StockReleased)
    def _released(self, event: StockReleased) -> None:
        reserved = {k: v for k, v in self.now.reserved.items() if k != event.order_id}
        self._state = self.now.model_copy(update={"reserved": reserved})
