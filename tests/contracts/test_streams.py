"""Every event store keeps the promises of streams."""

import pytest

from eventsource.testing.contracts.concurrent_appends import *  # noqa: F403  # its tests run here
from eventsource.testing.contracts.event_store import *  # noqa: F403  # its tests run here

pytestmark = pytest.mark.parametrize(
    "backend",
    ["in-memory", "sqlite", "postgresql", "postgresql-partitioned", "postgresql-minimal"],
    scope="module",
)


@pytest.fixture
def event_ids_are_unique(backend: str) -> bool:
    return backend != "postgresql-partitioned"  # its template says why


@pytest.fixture
def events_url(shared_events_url: str | None) -> str | None:
    return shared_events_url
