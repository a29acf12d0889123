"""kill -9 on a process that seals, erases and rotates: nobody is lost, and nobody comes back."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from eventsource import (
    DomainEvent,
    Personal,
    PostgreSQLEventStore,
    PostgreSQLKeyRepository,
    PrivateEventStore,
    Vault,
    register_event,
)

OLD, NEW = bytes(32), bytes(range(32))
ERASED, STORED = "erased", "stored"


@register_event
class PatientAdmitted(DomainEvent):
    aggregate_type: str = "Patient"
    name: Personal


def patient(number: int) -> UUID:
    return uuid5(NAMESPACE_URL, f"patient/{number}")


async def ward(url: str, first: str) -> None:
    """Admit patients without end, erase every third, and have the master key changed meanwhile."""
    engine = create_async_engine(url)
    old, new = (Vault(PostgreSQLKeyRepository(engine), *keys) for keys in ((OLD, NEW), (NEW, OLD)))
    store = PrivateEventStore(PostgreSQLEventStore(engine), old)

    async def rotate() -> None:
        while True:
            await new.rotate()

    rotating = asyncio.create_task(rotate())
    for number in count(int(first)):
        event = PatientAdmitted(aggregate_id=patient(number), name=Personal(f"Patient {number}"))
        await store.append_events(event.aggregate_id, "Patient", [event], 0)
        print(STORED, number, flush=True)
        if number % 3 == 0:
            await old.erase(event.aggregate_id)
            print(ERASED, number, flush=True)
        if rotating.done():
            rotating.result()


PROGRAM = """
import asyncio, importlib.util, sys
spec = importlib.util.spec_from_file_location("ward", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
asyncio.run(module.ward(*sys.argv[2:]))
"""


@pytest.fixture
def kill_after(database_url: str) -> Callable[[int, int], set[tuple[str, int]]]:
    """Run a ward from a first patient on, kill it when it has told so much, and give all of it."""

    def run(first: int, lines: int) -> set[tuple[str, int]]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, __file__, database_url, str(first)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            told = [process.stdout.readline() for _ in range(lines)]
        finally:
            process.kill()
            rest, _ = process.communicate(timeout=30)
        complete = ("".join(told) + rest).split("\n")[:-1]
        return {(what, int(number)) for what, number in (line.split() for line in complete)}

    return run


async def test_every_patient_is_readable_or_erased_as_was_told(
    database_url: str, kill_after: Callable[[int, int], set[tuple[str, int]]]
) -> None:
    told = kill_after(1000, 7) | kill_after(2000, 20) | kill_after(3000, 31)
    engine = create_async_engine(database_url)
    vault = Vault(PostgreSQLKeyRepository(engine), NEW, OLD)
    store = PrivateEventStore(PostgreSQLEventStore(engine), vault)
    for number in {number for _, number in told}:
        (event,) = (await store.get_events(patient(number), "Patient")).events
        assert isinstance(event, PatientAdmitted)
        if (ERASED, number) in told:
            assert event.name.is_erased
        elif number % 3:
            assert event.name.value == f"Patient {number}"
    assert {what for what, _ in told} == {STORED, ERASED}

    # The change of the master key goes on where it was, and the old one is not needed any more.
    await vault.rotate()
    with_new_only = Vault(PostgreSQLKeyRepository(engine), NEW)
    everybody = PrivateEventStore(PostgreSQLEventStore(engine), with_new_only)
    assert len([stored async for stored in everybody.read_all()]) >= len(told) / 2
    await engine.dispose()
