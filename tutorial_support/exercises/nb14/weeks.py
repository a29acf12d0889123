"""Weekly sales, for the exercises: as the daily ones of the notebook."""

from pydantic import BaseModel

from eventsource import DeclarativeAggregate, DomainEvent, handles, register_event


@register_event
class WeekOpened(DomainEvent):
    aggregate_type: str = "SalesWeek"
    balance: int


@register_event
class WeekSale(DomainEvent):
    aggregate_type: str = "SalesWeek"
    price: int


@register_event
class WeekClosed(DomainEvent):
    aggregate_type: str = "SalesWeek"


class WeekState(BaseModel):
    balance: int = 0
    sales: int = 0
    closed: bool = False


class SalesWeek(DeclarativeAggregate[WeekState]):
    aggregate_type = "SalesWeek"

    def open(self, balance: int) -> None:
        self._happened(WeekOpened, balance=balance)

    def sell(self, price: int) -> None:
        self._happened(WeekSale, price=price)

    def close(self) -> None:
        self._happened(WeekClosed)

    @property
    def now(self) -> WeekState:
        return self.state or WeekState()

    @property
    def is_closed(self) -> bool:
        return self.now.closed

    def _happened(self, event_class: type[DomainEvent], **facts: object) -> None:
        ids = {"aggregate_id": self.aggregate_id, "aggregate_version": self.get_next_version()}
        self.apply_event(event_class.model_validate(ids | facts))

    @handles(WeekOpened)
    def _opened(self, event: WeekOpened) -> None:
        self._state = WeekState(balance=event.balance)

    @handles(WeekSale)
    def _sold(self, event: WeekSale) -> None:
        change = {"balance": self.now.balance + event.price, "sales": self.now.sales + 1}
        self._state = self.now.model_copy(update=change)

    @handles(WeekClosed)
    def _closed(self, event: WeekClosed) -> None:
        self._state = self.now.model_copy(update={"closed": True})
