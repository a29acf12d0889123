"""An erased person, searched for in all that is kept: a dump of every schema, letters, and logs.

The read model is the one of tutorial 16, with an e-mail address that must be unique, so that
PostgreSQL itself names the address in an error.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from eventsource import (
    AggregateRepository,
    DatabaseProjection,
    DLQEntry,
    InMemoryEventBus,
    OutboxPublisher,
    PostgreSQLCheckpointRepository,
    PostgreSQLDLQRepository,
    PostgreSQLEventStore,
    PostgreSQLKeyRepository,
    PostgreSQLOutboxRepository,
    PostgreSQLSnapshotStore,
    PrivateEventStore,
    PrivateSnapshotStore,
    RetryPolicy,
    SubscriptionManager,
    Vault,
    handles,
    tenant_scope,
)
from eventsource.bus import DeadLetter
from eventsource.projections import rebuild_blue_green, rebuild_in_place
from tests.contracts.subscriptions.conftest import quick
from tutorial_support import backup
from tutorial_support.domain.customers import (
    Customer,
    CustomerErased,
    CustomerRegistered,
)

NAME, EMAIL = "Anna Karenina", "anna.karenina@example.org"
OTHER_NAME, OTHER_EMAIL = "Boris Godunov", "boris@example.org"
ONCE = RetryPolicy(max_tries=1)


class Directory(DatabaseProjection):
    """Keeps names in plain text, and forgets them when it hears of an erasure."""

    projection_name = "Directory"
    tables = ("directory",)

    async def create_tables(self, transaction: Any) -> None:
        await transaction.execute(
            text(
                "CREATE TABLE IF NOT EXISTS directory "
                "(customer_id UUID PRIMARY KEY, name TEXT, email TEXT UNIQUE)"
            )
        )

    @handles(CustomerRegistered)
    async def _add(self, transaction: Any, event: CustomerRegistered) -> None:
        if event.email.is_erased:
            return
        row = {"id": event.aggregate_id, "name": event.name.value, "email": event.email.value}
        await transaction.execute(text("INSERT INTO directory VALUES (:id, :name, :email)"), row)

    @handles(CustomerErased)
    async def _remove(self, transaction: Any, event: CustomerErased) -> None:
        row = {"id": event.aggregate_id}
        await transaction.execute(text("DELETE FROM directory WHERE customer_id = :id"), row)


class Shop:
    """Everything that keeps something of a customer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.vault = Vault(PostgreSQLKeyRepository(engine), Vault.new_master_key())
        self.store = PrivateEventStore(
            PostgreSQLEventStore(engine, outbox_enabled=True), self.vault
        )
        self.customers = AggregateRepository(
            self.store,
            Customer,
            snapshot_store=PrivateSnapshotStore(PostgreSQLSnapshotStore(engine), self.vault),
            snapshot_threshold=2,
        )
        self.letters = PostgreSQLDLQRepository(engine)
        self.outbox = PostgreSQLOutboxRepository(engine)
        self.directory = Directory(engine, self.letters, ONCE)

    async def register(self, name: str, email: str) -> UUID:
        """Two events, and a snapshot of them."""
        customer = self.customers.create_new(uuid4())
        customer.register(name, email)
        customer.earn(100)
        await self.customers.save(customer)
        return customer.aggregate_id

    async def forget(self, customer_id: UUID) -> None:
        """As tutorial 16: first tell the read models, then destroy the key."""
        await self.customers.update(customer_id, Customer.erase)
        await self.vault.erase(customer_id)

    async def follow(self, projection: Directory) -> None:
        """To the end of the log, past what fails."""
        checkpoints = PostgreSQLCheckpointRepository(self.engine)
        manager = SubscriptionManager(self.store, None, checkpoints, dlq_repo=self.letters)
        await manager.subscribe(projection, quick(retry=ONCE))
        end = await self.store.get_feed_end()
        async with manager:
            await projection.wait_for(end, timeout_seconds=20)

    async def directory_has(self) -> list[str]:
        async with self.engine.connect() as connection:
            rows = await connection.scalars(text("SELECT email FROM directory ORDER BY email"))
            return list(rows)


@pytest.fixture
async def shop(database_url: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Shop]:
    caplog.set_level(logging.DEBUG)  # SQLAlchemy looks at it once, here
    # Or SQLAlchemy writes the parameters of statements into logs and errors.
    engine = create_async_engine(database_url, hide_parameters=True)
    async with tenant_scope(uuid4()):
        yield Shop(engine)
    await engine.dispose()


async def publish(shop: Shop) -> list[DeadLetter]:
    """The outbox to a bus whose handler opens what it gets, and fails with it in hand."""
    bus = InMemoryEventBus(retry=ONCE)

    async def greet(event: CustomerRegistered) -> None:
        await shop.vault.open_events([event])
        raise ValueError(f"no mail to {event.name.value} <{event.email.value.upper()}>")

    bus.subscribe(CustomerRegistered, greet)
    await OutboxPublisher(shop.outbox, bus).publish_batch()
    return await bus.get_dead_letters()


async def park(shop: Shop) -> None:
    """Outbox entries that fail for good, with all that a bus may say of them."""

    class Down(InMemoryEventBus):
        async def publish(self, events: Any, **options: Any) -> None:
            raise ValueError(f"cannot send {events!r} {[event.to_dict() for event in events]}")

    await OutboxPublisher(shop.outbox, Down(), max_attempts=1).publish_batch()


async def dumped(url: str, folder: Path) -> str:
    """Every schema, table and row as `pg_dump` writes it."""
    await backup._run("pg_dump", url, f"--file={folder / 'dump.sql'}")
    return await asyncio.to_thread((folder / "dump.sql").read_text, "utf-8")


def found(*places: str) -> list[str]:
    """What of her is in there, in whatever case."""
    words = [NAME, EMAIL, "Anna", "Karenina"]
    return [word for word in words if any(word.lower() in place.lower() for place in places)]


async def test_an_erased_person_is_in_no_table_no_dead_letter_and_no_log(
    shop: Shop, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await shop.directory.setup()
    anna, boris = await shop.register(NAME, EMAIL), await shop.register(OTHER_NAME, OTHER_EMAIL)
    again = await shop.register(NAME, EMAIL)  # a second account, which the directory refuses
    await shop.follow(shop.directory)
    with pytest.raises(IntegrityError, match="duplicate key"):
        await rebuild_blue_green(shop.directory, shop.store)
    kept = [*await shop.letters.get_failed_events(), *await publish(shop)]
    assert [type(each) for each in kept] == [DLQEntry] * 2 + [DeadLetter] * 3
    assert found(repr(kept)) == []
    await park(shop)
    before = await dumped(database_url, tmp_path)
    assert str(anna) in before
    # Where it was written in plain text: the read model, and what the failed rebuild left.
    assert [before.lower().count(each) for each in (NAME.lower(), EMAIL)] == [2, 2]

    for account in (anna, again):
        await shop.forget(account)
    await shop.follow(shop.directory)
    await rebuild_blue_green(shop.directory, shop.store)
    assert found(await dumped(database_url, tmp_path)) == []
    await rebuild_in_place(shop.directory, shop.store)
    after = await dumped(database_url, tmp_path)
    assert found(after, caplog.text) == []
    assert OTHER_EMAIL in after
    assert await shop.directory_has() == [OTHER_EMAIL]
    for account in (anna, boris, again):
        assert str(account) in after
        assert (await shop.customers.load(account)).state.points == 100
