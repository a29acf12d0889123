"""The same server in Docker, through testcontainers, for machines with nothing else."""

import asyncio
import atexit
import gc
import secrets
import shutil
import sys
import warnings
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL

from .cluster import SETTINGS
from .errors import explain_failed_start
from .postgresql_server import PostgreSQLServer

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

IMAGE = "postgres:18"
LABEL = "eventsource-tutorial.folder"
FETCH_SECONDS = 900.0
_here: "list[PostgresContainer]" = []


def engine_version() -> str | None:
    """The version of the Docker engine, or None where none answers."""
    import docker
    from docker.errors import DockerException

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=5)
        except (DockerException, OSError):
            pass
        else:
            version = str(client.version()["Version"])
            client.close()
            return version
        gc.collect()  # the client forgets to close the socket of a refused connection
    return None


class DockerServer(PostgreSQLServer):
    """PostgreSQL in a container that all kernels share; its data is in a named volume."""

    start_seconds = FETCH_SECONDS  # the first start may have to fetch the image

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    async def join(self) -> URL:
        if sys.platform == "win32":
            return await asyncio.to_thread(self._run_here)
        return await super().join()

    def _run_here(self) -> URL:
        """A container of this process alone, for Windows has no locks that processes share.

        Its data goes with it: two containers must not open one volume.
        """
        from docker.errors import DockerException

        if not _here:
            self.prepare()
            self.make_room_to_start()
            try:
                _here.append(make_container(self.folder).start())
            except (DockerException, OSError) as error:
                raise explain_failed_start(str(error), self.folder) from error
            atexit.register(_here[0].stop)
        host, port = _here[0].get_container_host_ip(), _here[0].get_exposed_port(5432)
        return self.url_at({"host": host, "port": port})

    def supervisor(self) -> list[str]:
        return ["-m", f"{__package__}.container_supervisor"]

    def specification(self) -> dict[str, Any]:
        return {}

    def make_room_to_start(self) -> None:
        if not self.password_file.exists():
            self.password_file.parent.mkdir(mode=0o700, exist_ok=True)
            self.password_file.touch(mode=0o600)
            self.password_file.write_text(secrets.token_urlsafe(24))

    def forget(self) -> None:
        if self.password_file.exists():
            remove_leftovers(self.folder)
            remove_volume(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def volume_name(folder: Path) -> str:
    """The data knows one password, so a folder made anew gets a volume of its own."""
    password = (folder / "cluster" / "password").read_bytes()
    return f"eventsource-tutorial-{sha256(password).hexdigest()[:12]}"


def make_container(folder: Path) -> "PostgresContainer":
    """A container, not yet started, whose port is open to this machine alone."""
    from testcontainers.community.postgres import PostgresContainer

    settings = {**SETTINGS, "shared_preload_libraries": "pg_stat_statements"}
    del settings["listen_addresses"], settings["unix_socket_directories"]
    password = (folder / "cluster" / "password").read_text()
    container = PostgresContainer(IMAGE, username="postgres", password=password, dbname="postgres")
    ports: dict[str, Any] = container.ports
    ports["5432"] = ("127.0.0.1", None)  # a free port, on this machine alone
    options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
    container.with_command(["postgres", *options])
    container.with_envs(
        PGDATA="/var/lib/postgresql/tutorial",
        POSTGRES_INITDB_ARGS="--auth-host=scram-sha-256 --encoding=UTF8 --locale=C",
    )
    if sys.platform != "win32":
        container.with_volume_mapping(volume_name(folder), "/var/lib/postgresql", "rw")
    container.with_kwargs(labels={LABEL: str(folder)}, shm_size="128m")
    return container


def remove_leftovers(folder: Path) -> None:
    """Remove the container of a supervisor that was killed."""
    import docker

    client = docker.from_env()
    try:
        for old in client.containers.list(
            all=True, filters={"label": f"{LABEL}={folder}"}, ignore_removed=True
        ):
            old.remove(force=True, v=True)
    finally:
        client.close()


def remove_volume(folder: Path) -> None:
    """Remove the data."""
    import docker
    from docker.errors import NotFound

    client = docker.from_env()
    try:
        with suppress(NotFound):
            client.volumes.get(volume_name(folder)).remove()
    finally:
        client.close()
