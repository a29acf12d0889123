"""Backups of a notebook's database."""

from pathlib import Path

import pytest

from tests.contracts.conftest import run_sql
from tutorial_support import backup
from tutorial_support.database import DatabaseUnavailable


async def test_what_was_dumped_is_restored(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.dump"
    await run_sql(database_url, "CREATE TABLE shelf AS SELECT 7 AS place")
    await backup.dump(database_url, file)
    await backup.restore(file, empty_database_url)
    await run_sql(empty_database_url, "DO $$ BEGIN ASSERT (SELECT place FROM shelf) = 7; END $$")


async def test_a_backup_that_fails_says_why_and_tells_no_password(
    database_url: str, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseUnavailable, match="pg_restore failed") as raised:
        await backup.restore(tmp_path / "none.dump", database_url)
    assert "none.dump" in str(raised.value)
    password = database_url.split("@", maxsplit=1)[0].rpartition(":")[2]
    assert password not in str(raised.value)


async def test_without_programs_it_says_what_to_install(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "find_programs", lambda: None)
    with pytest.raises(DatabaseUnavailable, match="client programs"):
        await backup.dump(database_url, tmp_path / "x.dump")
