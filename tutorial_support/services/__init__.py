"""Real brokers for notebooks and tests: found or started, shared, and gone when unused."""

import secrets

from ..database.private import PrivateServer, start_private
from .kinds import KINDS, Kind
from .own import check_own
from .server import (
    ServiceServer,
    ServiceUnavailable,
    find_kind,
    private_folder,
    shared_service,
)

__all__ = [
    "KINDS",
    "Service",
    "ServiceUnavailable",
    "is_available",
    "open_service",
    "private_service",
]


class Service:
    """A server to use, and a name that is yours alone on it.

    `url` is what its driver takes; begin the names of streams, topics and queues with `name`.
    """

    def __init__(self, kind: Kind, url: str) -> None:
        self.url = url
        self.name = f"tutorial-{secrets.token_hex(4)}"
        self._kind = kind

    def __repr__(self) -> str:
        whose = f"the server of {self._kind.variable}" if self._kind.named else "the course's own"
        return f"{self._kind.name} server: {whose}"


async def open_service(kind: str) -> Service:
    """A "redis", "kafka" or "rabbitmq" server that is up, started if need be.

    Every process of yours shares it; it stops soon after the last has ended, and keeps nothing. An
    environment variable, such as TUTORIAL_REDIS_URL, names a server of your own instead. Raises
    ServiceUnavailable, which says what to type.
    """
    found = find_kind(kind)
    if found.named:
        await check_own(found, found.named)
        return Service(found, found.named)
    return Service(found, await _started_with(found.source, shared_service(found)).join())


async def private_service(kind: str) -> PrivateServer:
    """Start a server of your own, empty, to `kill` and `restart`.

    It ends with `stop`, or soon after your process. Raises ServiceUnavailable, also where only an
    environment variable gives a server, for that one is not ours to kill, or only Docker.
    """
    found = find_kind(kind)
    new = ServiceServer(found, private_folder(found), idle_seconds=1.0)
    server = _started_with(found.find(), new)
    return PrivateServer(found.name, server, await start_private(server))


def is_available(kind: str) -> bool:
    """Whether `open_service` has something to try."""
    found = find_kind(kind)
    return bool(found.named or found.source)


def _started_with(source: object, server: ServiceServer) -> ServiceServer:
    """Say at once that there is nothing to run, before a folder is made for it."""
    if source is None:
        raise ServiceUnavailable(server.kind.nothing_found())
    return server
