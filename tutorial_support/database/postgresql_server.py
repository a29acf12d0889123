"""A PostgreSQL server of ours: its password, its URL, and whether it answers."""

from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL

from .errors import DatabaseUnavailable, explain_failed_start
from .managed import ManagedServer


class PostgreSQLServer(ManagedServer[URL]):
    unavailable = DatabaseUnavailable

    @property
    def password_file(self) -> Path:
        return self.folder / "cluster" / "password"

    def explain(self, said: str) -> DatabaseUnavailable:
        return explain_failed_start(said, self.folder)

    def url_at(self, endpoint: dict[str, Any]) -> URL:
        return URL.create(
            "postgresql+asyncpg",
            username="postgres",
            password=self.password_file.read_text(),
            host=endpoint["host"],
            port=endpoint["port"],
            database="postgres",
        )

    async def answers(self, url: URL) -> bool:
        dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            connection = await asyncpg.connect(dsn, timeout=5)
        except asyncpg.InvalidPasswordError as error:
            raise DatabaseUnavailable(
                "The password of `postgres` was changed in the course's own server.\n"
                "Start over with an empty server:  tutorial db reset"
            ) from error
        except asyncpg.TooManyConnectionsError:
            return True
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True
