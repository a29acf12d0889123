"""What the actors write: payments into accounts, and the read model of them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eventsource import AggregateRoot, DomainEvent, register_event
from eventsource.asyncpg_pool import executor_for
from eventsource.projections import DatabaseProjection, handles
from tests.faults.campaign.clock import wall_clock


@register_event
class PaymentNoted(DomainEvent):
    aggregate_type: str = "Account"
    occurred_at: datetime = Field(default_factory=wall_clock)
    amount: int = 1


class Balance(BaseModel):
    total: int = 0
    events: int = 0


class Account(AggregateRoot[Balance]):
    aggregate_type = "Account"

    def note_payment(self, amount: int) -> PaymentNoted:
        event = PaymentNoted(
            aggregate_id=self.aggregate_id,
            aggregate_version=self.get_next_version(),
            amount=amount,
        )
        self.apply_event(event)
        return event

    def _get_initial_state(self) -> Balance:
        return Balance()

    def _apply(self, event: DomainEvent) -> None:
        assert isinstance(event, PaymentNoted)
        before = self._state or self._get_initial_state()
        self._state = Balance(total=before.total + event.amount, events=before.events + 1)


class Projected(DatabaseProjection):
    """One row an event, in the order of handling: a second row would be a second effect."""

    tables = ("projected",)

    async def create_tables(self, transaction: AsyncConnection) -> None:
        await executor_for(transaction).fetch(
            "CREATE TABLE IF NOT EXISTS projected (place BIGSERIAL PRIMARY KEY, event_id UUID)"
        )

    @handles(PaymentNoted)
    async def _keep(self, transaction: Any, event: PaymentNoted) -> None:
        await executor_for(transaction).fetch(
            "INSERT INTO projected (event_id) VALUES ($1)", event.event_id
        )


class Subscribed(DatabaseProjection):
    """Follows as a subscription; each row names the time of leading that it was written in."""

    tables = ("subscribed",)

    def __init__(self, engine: AsyncEngine, term: Callable[[], str]) -> None:
        super().__init__(engine)
        self._term = term

    @handles(PaymentNoted)
    async def _keep(self, transaction: Any, event: PaymentNoted) -> None:
        await executor_for(transaction).fetch(
            "INSERT INTO subscribed (event_id, term) VALUES ($1, $2)", event.event_id, self._term()
        )


#: What came out of brokers, a consumer's effects, read models, and what a handler did.
TABLES = "".join(
    f"CREATE TABLE {name} (place BIGSERIAL PRIMARY KEY, event_id UUID{columns});"
    for name, columns in {
        "delivered": ", stream UUID, version INTEGER",
        "effects": ", stream UUID, version INTEGER",
        "projected": "",
        "subscribed": ", term TEXT",
        "handled": ", term TEXT",
    }.items()
)
