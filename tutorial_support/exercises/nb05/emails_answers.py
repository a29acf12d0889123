"""Answers to exercise 5.2: the stub, right ones and typical wrong ones."""

from tutorial_support.exercises.model import Wrong

STUB = '''
class Emails:
    def __init__(self, store):
        self.store = store

    async def reserve(self, email, customer_id):
        """EmailTakenError if another customer has the address."""
        ...

    async def free(self, email, customer_id):
        """Give the address back, if it is this customer's."""
        ...
'''

_AGGREGATE = """
class Address(DeclarativeAggregate[dict]):
    aggregate_type = "Email"

    @property
    def owner(self):
        return (self.state or {}).get("owner")

    def record(self, event_class, customer_id):
        version = self.get_next_version()
        self.apply_event(
            event_class(
                aggregate_id=self.aggregate_id, aggregate_version=version, customer_id=customer_id
            )
        )

    @handles(EmailReserved)
    def _reserved(self, event):
        self._state = {"owner": event.customer_id}

    @handles(EmailFreed)
    def _freed(self, event):
        self._state = {"owner": None}


class Emails:
    def __init__(self, store):
        self.addresses = AggregateRepository(store, Address)

    async def change(self, email, command):
        address_id = uuid5(SHOP, email.strip().casefold())
        await self.addresses.update(address_id, command, create=True, retries=20)

    async def reserve(self, email, customer_id):
        def command(address):
            if address.owner not in (None, customer_id):
                raise EmailTakenError
            if address.owner is None:
                address.record(EmailReserved, customer_id)

        await self.change(email, command)

    async def free(self, email, customer_id):
        def command(address):
            if address.owner == customer_id:
                address.record(EmailFreed, customer_id)

        await self.change(email, command)
"""


def _by_hand(
    *,
    stream_id: str = "uuid5(SHOP, email.strip().casefold())",
    owner: str = "e.customer_id if isinstance(e, EmailReserved) else None",
    expected: str = "history.version",
    only_own: str = "owner == customer_id",
    on_conflict: str = "pass",
) -> str:
    """Emails on the store itself; a wrong answer differs in one of these."""
    return f"""
class Emails:
    def __init__(self, store):
        self.store = store

    async def change(self, email, decide):
        stream_id = {stream_id}
        while True:
            history = await self.store.get_events(stream_id, "Email")
            owner = None
            for e in history.events:
                owner = {owner}
            event_class, customer_id = decide(owner) or (None, None)
            if event_class is None:
                return
            event = event_class(aggregate_id=stream_id, customer_id=customer_id)
            try:
                await self.store.append_events(stream_id, "Email", [event], {expected})
                return
            except OptimisticLockError:
                {on_conflict}

    async def reserve(self, email, customer_id):
        def decide(owner):
            if owner == customer_id:
                return None
            if owner is not None:
                raise EmailTakenError
            return EmailReserved, customer_id

        await self.change(email, decide)

    async def free(self, email, customer_id):
        def decide(owner):
            return (EmailFreed, customer_id) if {only_own} else None

        await self.change(email, decide)
"""


_CONFLICT_ESCAPES = _AGGREGATE.replace("retries=20", "retries=0")

_SEARCH = """
class Emails:
    def __init__(self, store):
        self.store = store

    async def reserve(self, email, customer_id):
        email = email.strip().casefold()
        for event in await self.store.get_events_by_type("Email"):
            if event.metadata["email"] == email:
                if event.customer_id == customer_id:
                    return
                raise EmailTakenError
        event = EmailReserved(aggregate_id=ids(), customer_id=customer_id)
        event = event.with_metadata(email=email)
        await self.store.append_events(event.aggregate_id, "Email", [event], 0)

    async def free(self, email, customer_id):
        pass
"""

_LOCK = """
class Emails:
    lock, taken = asyncio.Lock(), {}

    def __init__(self, store):
        self.store = store

    async def reserve(self, email, customer_id):
        async with self.lock:
            stream_id = uuid5(SHOP, email.strip().casefold())
            if self.taken.setdefault(stream_id, customer_id) != customer_id:
                raise EmailTakenError
            if await self.store.get_stream_version(stream_id, "Email") == 0:
                event = EmailReserved(aggregate_id=stream_id, customer_id=customer_id)
                await self.store.append_events(stream_id, "Email", [event], -1)

    async def free(self, email, customer_id):
        self.taken.pop(uuid5(SHOP, email.strip().casefold()), None)
"""

SOLUTIONS = (_AGGREGATE, _by_hand())

WRONG = (
    Wrong(_SEARCH, hint=1),
    Wrong(_LOCK, hint=1),
    Wrong(_by_hand(stream_id="uuid5(SHOP, email)"), hint=2),
    Wrong(_by_hand(expected="-1"), hint=3),
    Wrong(_CONFLICT_ESCAPES, hint=4),
    Wrong(_by_hand(on_conflict="raise EmailTakenError from None"), hint=4),
    Wrong(_by_hand(owner="owner or e.customer_id"), hint=5),
    Wrong(_by_hand(only_own="True"), hint=5),
)
