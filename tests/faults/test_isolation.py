"""No row of another tenant, whatever is interrupted; `make faults` asks 100 000 times."""

import asyncpg

from tests.faults.isolation import TENANTS, Isolation, prepare, remove

OPERATIONS = 2000


async def test_no_request_sees_a_row_of_another_tenant(database_url: str) -> None:
    role = await prepare(database_url)
    try:
        isolation = Isolation(database_url, role, seed=1)
        await isolation.run(OPERATIONS)
    finally:
        await remove(database_url, role)
    assert isolation.leaks == []
    assert sum(isolation.done.values()) == OPERATIONS
    assert min(isolation.done.values()) > 10, isolation.done
    assert {tenant for _, tenant in isolation.streams} == set(TENANTS)


async def test_a_leak_would_be_seen(database_url: str) -> None:
    role = await prepare(database_url)
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute("ALTER TABLE events DISABLE ROW LEVEL SECURITY")
    await connection.close()
    try:
        isolation = Isolation(database_url, role, seed=1)
        await isolation.run(200)
    finally:
        await remove(database_url, role)
    assert any("saw rows of" in leak for leak in isolation.leaks)
    assert any("rows for nobody" in leak for leak in isolation.leaks)
