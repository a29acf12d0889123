"""Every event store with a global feed keeps the promises of it."""

import pytest

from eventsource.testing.contracts.feed import *  # noqa: F403  # its tests run here

pytestmark = pytest.mark.parametrize(
    "backend", ["in-memory", "sqlite", "postgresql", "postgresql-partitioned"]
)
