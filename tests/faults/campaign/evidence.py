"""Collects what the checker compares."""

from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from eventsource import PostgreSQLEventStore
from tests.faults.campaign.checker import Evidence, SnapshotSeen, Stored, Taken
from tests.faults.campaign.records import read_notes
from tests.faults.campaign.subscribers import PAGE


async def collect(engine: AsyncEngine, folder: Path) -> Evidence:
    evidence = Evidence(records=read_notes(folder), page=PAGE)
    async for stored in PostgreSQLEventStore(async_sessionmaker(engine)).read_all():
        ids = str(stored.event_id), str(stored.aggregate_id)
        amount = stored.event.model_dump()["amount"]
        evidence.log.append(Stored(*ids, stored.stream_position, amount))
    for name in ("delivered", "effects"):
        rows = await fetch(engine, f"SELECT * FROM {name} ORDER BY place")
        found = [Stored(str(row.event_id), str(row.stream), row.version) for row in rows]
        setattr(evidence, name, found)
    rows = await fetch(engine, "SELECT event_id FROM projected ORDER BY place")
    evidence.projected = [str(row.event_id) for row in rows]
    for name in ("subscribed", "handled"):
        rows = await fetch(engine, f"SELECT * FROM {name} ORDER BY place")
        setattr(evidence, name, [Taken(str(row.event_id), row.term) for row in rows])
    rows = await fetch(engine, "SELECT aggregate_id, version, state FROM snapshots")
    evidence.snapshots = [
        SnapshotSeen(str(row.aggregate_id), row.version, row.state["total"]) for row in rows
    ]
    query = "SELECT count(*) AS n FROM event_outbox WHERE status <> 'published'"
    ((evidence.pending,),) = await fetch(engine, query)
    return evidence


async def fetch(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(text(query)))
