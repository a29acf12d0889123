"""Exercise 16.1: policies for a table of one's own, whose owner asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from eventsource.migrations import get_schema
from tutorial_support.database import Database, open_database
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

NORTH, SOUTH = UUID(int=1), UUID(int=2)

TABLE = """
CREATE TABLE invoices (number SERIAL PRIMARY KEY, tenant_id UUID NOT NULL, total NUMERIC NOT NULL);
INSERT INTO invoices (tenant_id, total) VALUES
    ('00000000-0000-0000-0000-000000000001', 10),
    ('00000000-0000-0000-0000-000000000001', 20),
    ('00000000-0000-0000-0000-000000000002', 30);
"""
SWITCHES = """
SELECT relrowsecurity AS enabled, relforcerowsecurity AS forced
FROM pg_class WHERE oid = 'invoices'::regclass
"""
INSERT = "INSERT INTO invoices (tenant_id, total) VALUES ($1, 5)"


async def _check_invoices(invoice_policy: str, db: Database) -> None:
    async with await open_database("16-invoices", url=db.url, empty=True) as scratch:
        await scratch.execute(get_schema("events") + get_schema("row_level_security") + TABLE)
        owner = await scratch.role()
        await scratch.execute(f'ALTER TABLE invoices OWNER TO "{owner}"')
        await scratch.execute(invoice_policy)
        connection = await asyncpg.connect(
            scratch.url.replace("+asyncpg", ""), server_settings={"role": owner}
        )
        try:
            (switches,) = await scratch.fetch(SWITCHES)
            await _without_a_tenant(connection, switches)
            await _as_north(connection)
        finally:
            await connection.close()


@asynccontextmanager
async def _tenant(connection: asyncpg.Connection, tenant: UUID | None) -> AsyncIterator[None]:
    """A transaction of the tenant, undone in the end."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        if tenant:
            setting = "SELECT set_config('eventsource.tenant_id', $1, true)"
            await connection.execute(setting, str(tenant))
        yield
    finally:
        await transaction.rollback()


async def _without_a_tenant(connection: asyncpg.Connection, switches: asyncpg.Record) -> None:
    async with _tenant(connection, None):
        try:
            seen = await connection.fetchval("SELECT count(*) FROM invoices")
        except asyncpg.PostgresError as error:
            raise NotYet(
                seen=f"a query without a tenant fails: {error}",
                expected="a query without a tenant sees no row",
                hint=3,
            ) from error
    if seen:
        hint = 1 if not switches["enabled"] else 2 if not switches["forced"] else 3
        raise NotYet(
            seen=f"without a tenant, the owner of the table sees {seen} invoices",
            expected="none",
            hint=hint,
        )


async def _as_north(connection: asyncpg.Connection) -> None:
    async with _tenant(connection, NORTH):
        tenants = await connection.fetch("SELECT tenant_id FROM invoices")
    if [row["tenant_id"] for row in tenants] != [NORTH, NORTH]:
        raise NotYet(
            seen=f"shop north sees {len(tenants)} invoices",
            expected="its two, and not the one of shop south",
            hint=3,
        )
    if not await _may_insert(connection, NORTH):
        raise NotYet(
            seen="shop north may not write an invoice of its own", expected="it may", hint=4
        )
    if await _may_insert(connection, SOUTH):
        raise NotYet(
            seen="shop north has written an invoice for shop south",
            expected="the database refuses it",
            hint=4,
        )


async def _may_insert(connection: asyncpg.Connection, tenant: UUID) -> bool:
    async with _tenant(connection, NORTH):
        try:
            await connection.execute(INSERT, tenant)
        except asyncpg.PostgresError:  # a policy refuses it, or a trigger
            return False
        return True


def _sql(*statements: str) -> str:
    text = ";\n".join(statements)
    return f'invoice_policy = """\n{text};\n"""'


ENABLE = "ALTER TABLE invoices ENABLE ROW LEVEL SECURITY"
FORCE = "ALTER TABLE invoices FORCE ROW LEVEL SECURITY"
POLICY = "CREATE POLICY one_tenant ON invoices USING (tenant_id = event_tenant())"

INVOICES = Exercise(
    id="16.1",
    title="Guard a table of your own",
    task="""
The shops write invoices into a table `invoices (number, tenant_id, total)`. Write the SQL after
which each shop sees its own invoices and can write no others. That shall hold for the role that
*owns* the table too, and whoever names no tenant shall see nothing. `event_tenant()` is there.
""",
    answer="invoice_policy",
    given=("db",),
    stub='''
invoice_policy = """
-- ALTER TABLE invoices ...
"""
''',
    hints=(
        """
A policy does nothing until the table has row-level security switched on: `ALTER TABLE ...
ENABLE ROW LEVEL SECURITY`.
""",
        """
The owner of a table is not bound by its policies, unless you say `FORCE` as well.
""",
        """
`USING (...)` says for each row whether it is there. Compare its tenant with `event_tenant()`, and
with nothing else. Without a setting that is NULL, and a comparison with NULL is never true.
""",
        """
Rows that are written must pass too. A policy `FOR ALL`, which is the default, uses its `USING`
for them, unless it has a `WITH CHECK` of its own. A policy `FOR SELECT` says nothing about
writing.
""",
    ),
    solutions=(
        _sql(ENABLE, FORCE, POLICY),
        _sql(
            f"{ENABLE}, FORCE ROW LEVEL SECURITY",
            "CREATE POLICY reading ON invoices FOR SELECT USING (tenant_id = "
            "nullif(current_setting('eventsource.tenant_id', true), '')::uuid)",
            "CREATE POLICY writing ON invoices FOR INSERT WITH CHECK (event_tenant() = tenant_id)",
        ),
        _sql(
            ENABLE,
            FORCE,
            POLICY + " WITH CHECK (true)",
            "CREATE FUNCTION ours() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.tenant_id <> event_tenant() THEN RAISE 'not ours'; END IF; RETURN NEW; END $$",
            "CREATE TRIGGER ours BEFORE INSERT OR UPDATE ON invoices "
            "FOR EACH ROW EXECUTE FUNCTION ours()",
        ),
    ),
    wrong=(
        Wrong(_sql(POLICY), hint=1),
        Wrong(_sql(ENABLE, POLICY), hint=2),
        Wrong(_sql(ENABLE, FORCE, POLICY[:-1] + " OR event_tenant() IS NULL)"), hint=3),
        Wrong(
            _sql(ENABLE, FORCE, POLICY.replace("invoices", "invoices FOR SELECT")),
            hint=4,
        ),
        Wrong(_sql(ENABLE, FORCE, POLICY + " WITH CHECK (true)"), hint=4),
    ),
    check=_check_invoices,
    time_limit_seconds=5,
)
