"""What every backend of a port promises, as tests to run on a backend of your own.

Import the tests into a module of your test suite and define the fixture that makes your backend;
parametrise the fixture to run them on several. They need pytest and pytest-asyncio with
`asyncio_mode = "auto"`:

    from eventsource.testing.contracts.event_store import *

    @pytest.fixture
    async def event_store():
        async with MyEventStore() as store:
            yield store
"""

import pytest

_SUITES = ("concurrent_appends", "event_store", "feed", "snapshot_store")

pytest.register_assert_rewrite(*(f"{__name__}.{suite}" for suite in _SUITES))
