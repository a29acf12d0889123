"""Where the keys of persons are kept, each encrypted with a master key that is elsewhere."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from eventsource.repositories.sql import (
    InMemoryRepository,
    PostgreSQLRepository,
    SQLiteRepository,
    SQLRepository,
    now,
    record,
)
from eventsource.sqlite_database import SQLiteTransaction


@dataclass(frozen=True, slots=True)
class PersonalKey:
    """The key of one person. Without `wrapped_key` the person was erased."""

    subject: str
    wrapped_key: bytes | None
    master_key_id: str | None


_GET = "SELECT subject, wrapped_key, master_key_id FROM personal_keys WHERE subject {is_listed}"

_ADD = """
INSERT INTO personal_keys (subject, wrapped_key, master_key_id, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (subject) DO NOTHING
"""

_REPLACE = """
UPDATE personal_keys SET wrapped_key = $3, master_key_id = $4
WHERE subject = $1 AND wrapped_key = $2
RETURNING 1
"""

_ERASE = """
INSERT INTO personal_keys AS stored (subject, created_at, erased_at) VALUES ($1, $2, $2)
ON CONFLICT (subject) DO UPDATE SET
    wrapped_key = NULL,
    master_key_id = NULL,
    erased_at = coalesce(stored.erased_at, excluded.erased_at)
"""

_OTHERS = """
SELECT subject FROM personal_keys
WHERE wrapped_key IS NOT NULL AND master_key_id <> $1
ORDER BY subject
"""


class KeyRepository(SQLRepository):
    """One key for each subject, for ever: what was erased does not come back."""

    schema = "personal_keys"

    async def get_keys(
        self, subjects: Collection[str], *, transaction: Any = None
    ) -> dict[str, PersonalKey]:
        """Those that there are, by subject."""
        statement = _GET.replace("{is_listed}", self._is_listed)
        rows = await self._fetch(
            statement, self._list(subjects), transaction=self._joined(transaction)
        )
        return {row["subject"]: record(PersonalKey, row) for row in rows}

    async def add_key(self, key: PersonalKey, *, transaction: Any = None) -> None:
        """Keep it, unless the subject has a key or was erased."""
        values = key.subject, key.wrapped_key, key.master_key_id, now()
        await self._fetch(_ADD, *values, transaction=self._joined(transaction))

    async def replace_key(self, old: PersonalKey, new: PersonalKey) -> bool:
        """Whether the old one was still there to be replaced."""
        values = old.subject, old.wrapped_key, new.wrapped_key, new.master_key_id
        return bool(await self._fetch(_REPLACE, *values))

    async def erase_key(self, subject: str) -> None:
        """Destroy the key, and let the subject have none from now on."""
        await self._fetch(_ERASE, subject, now())

    async def get_subjects(self, *, except_master_key_id: str) -> list[str]:
        """Those whose key is encrypted with another master key; sorted."""
        return [row["subject"] for row in await self._fetch(_OTHERS, except_master_key_id)]

    def _joined(self, transaction: Any) -> Any:
        """None: a key outlives the transaction for which it was made, which may be undone."""
        return None


class InMemoryKeyRepository(InMemoryRepository, KeyRepository):
    """For tests and first steps. Safe under concurrent tasks and threads."""


class SQLiteKeyRepository(SQLiteRepository, KeyRepository):
    """On a SQLiteDatabase, which you open and close. An append inside a transaction of the same
    database makes new keys in that, because SQLite has one writer at a time."""

    def _joined(self, transaction: Any) -> Any:
        ours = isinstance(transaction, SQLiteTransaction) and transaction.database is self._source
        return transaction if ours else None


class PostgreSQLKeyRepository(PostgreSQLRepository, KeyRepository):
    """On an engine or session factory, best of another database than the log's. Each call is a
    transaction of its own, so an append inside yours needs a second connection."""
