"""Customers: what a shop knows about a person, and how it forgets."""

from pydantic import BaseModel

from eventsource import (
    DeclarativeAggregate,
    Personal,
    TenantDomainEvent,
    handles,
    register_event,
)


@register_event
class CustomerRegistered(TenantDomainEvent):
    aggregate_type: str = "Customer"
    name: Personal
    email: Personal


@register_event
class PointsEarned(TenantDomainEvent):
    aggregate_type: str = "Customer"
    points: int


@register_event
class CustomerErased(TenantDomainEvent):
    aggregate_type: str = "Customer"


class CustomerState(BaseModel):
    name: Personal
    points: int = 0
    erased: bool = False


class Customer(DeclarativeAggregate[CustomerState]):
    aggregate_type = "Customer"

    def register(self, name: str, email: str) -> None:
        self._happened(CustomerRegistered, name=name, email=email)

    def earn(self, points: int) -> None:
        self._happened(PointsEarned, points=points)

    def erase(self) -> None:
        if self.state and not self.state.erased:
            self._happened(CustomerErased)

    def _happened(self, event_class: type[TenantDomainEvent], **facts: object) -> None:
        version = self.get_next_version()
        event = event_class.with_tenant_context(
            aggregate_id=self.aggregate_id, aggregate_version=version, **facts
        )
        self.apply_event(event)

    @handles(CustomerRegistered)
    def on_registered(self, event: CustomerRegistered) -> None:
        self._state = CustomerState(name=event.name)

    @handles(PointsEarned)
    def on_points(self, event: PointsEarned) -> None:
        assert self._state is not None
        points = self._state.points + event.points
        self._state = self._state.model_copy(update={"points": points})

    @handles(CustomerErased)
    def on_erased(self, event: CustomerErased) -> None:
        assert self._state is not None
        self._state = self._state.model_copy(update={"erased": True})
