"""Daily sales: a stream for each day, which hands its balance over to the next."""

from decimal import Decimal

from pydantic import BaseModel

from eventsource import DeclarativeAggregate, DomainEvent, handles, register_event


@register_event
class DayOpened(DomainEvent):
    aggregate_type: str = "SalesDay"
    balance: Decimal


@register_event
class SaleMade(DomainEvent):
    aggregate_type: str = "SalesDay"
    article: str
    price: Decimal


@register_event
class DayClosed(DomainEvent):
    aggregate_type: str = "SalesDay"


class SalesState(BaseModel):
    balance: Decimal = Decimal(0)
    sales: int = 0
    closed: bool = False


class SalesDay(DeclarativeAggregate[SalesState]):
    aggregate_type = "SalesDay"

    def open(self, balance: Decimal) -> None:
        self._happened(DayOpened, balance=balance)

    def sell(self, article: str, price: Decimal) -> None:
        self._happened(SaleMade, article=article, price=price)

    def close(self) -> None:
        self._happened(DayClosed)

    @property
    def now(self) -> SalesState:
        return self.state or SalesState()

    @property
    def is_closed(self) -> bool:
        return self.now.closed

    def _happened(self, event_class: type[DomainEvent], **facts: object) -> None:
        ids = {"aggregate_id": self.aggregate_id, "aggregate_version": self.get_next_version()}
        self.apply_event(event_class.model_validate(ids | facts))

    @handles(DayOpened)
    def _opened(self, event: DayOpened) -> None:
        self._state = SalesState(balance=event.balance)

    @handles(SaleMade)
    def _sold(self, event: SaleMade) -> None:
        balance = self.now.balance + event.price
        change = {"balance": balance, "sales": self.now.sales + 1}
        self._state = self.now.model_copy(update=change)

    @handles(DayClosed)
    def _closed(self, event: DayClosed) -> None:
        self._state = self.now.model_copy(update={"closed": True})
