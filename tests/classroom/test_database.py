"""The database a notebook opens."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tutorial_support.database import open_database


async def test_sqlalchemy_reaches_the_database() -> None:
    async with await open_database("11-postgresql") as db:
        engine = create_async_engine(db.url)
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1
        await engine.dispose()


async def test_fixture(database_url: str, empty_database_url: str) -> None:
    assert database_url != empty_database_url
