"""What every backend of a port must do, as pytest classes to subclass.

Write a class with the fixture that makes your backend, and run it with pytest and pytest-asyncio
(`asyncio_mode = "auto"`):

    class TestMyStore(EventStoreContract):
        @pytest.fixture
        async def event_store(self):
            async with MyStore() as store:
                yield store
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.event_store", f"{__name__}.snapshot_store")
