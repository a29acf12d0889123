"""A server of the reader's own, which an environment variable names."""

import asyncio
from urllib.parse import urlsplit

from .kinds import Kind
from .server import ServiceUnavailable

CONNECT_SECONDS = 10


async def check_own(kind: Kind, address: str) -> None:
    """Raises ServiceUnavailable, without the password, for an address where nobody answers."""
    found = places(kind, address)
    for host, port in found:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, ValueError):  # a host may be no name at all
            continue
        writer.close()
        return
    where = ", ".join(f"{host}:{port}" for host, port in found)
    raise ServiceUnavailable(
        f"No {kind.name} server answers at {where}: start it, or check {kind.variable}.\n"
        f"To use the course's own server:  unset {kind.variable}"
    )


def places(kind: Kind, address: str) -> list[tuple[str, int]]:
    """Hosts and ports; Kafka's are a list without a scheme. Raises ServiceUnavailable."""
    parts = [address] if kind.schemes else [f"//{part.strip()}" for part in address.split(",")]
    try:
        address.encode()  # a lone surrogate has no UTF-8
        urls = [urlsplit(part) for part in parts]
        found = [(url.hostname or "", url.port or kind.port) for url in urls]
    except ValueError:
        urls, found = [], []
    is_read = all(url.scheme in (kind.schemes or ("",)) for url in urls) and all(
        host for host, _ in found
    )
    if not found or not is_read:
        raise ServiceUnavailable(
            f"{kind.variable} cannot be read. It should look like  {kind.example}\n"
            f"To use the course's own server:  unset {kind.variable}"
        ) from None
    return found
