"""Answers to exercise 4.1: right ones and typical wrong ones."""

from tutorial_support.exercises.model import Wrong


def _loop(body: str) -> str:
    return "async def append_with_retry(store, coupon_id, decide):\n" + body.strip("\n") + "\n"


SOLUTIONS = (
    _loop("""
    for attempt in range(1, 6):
        events = await store.get_events(coupon_id, "Coupon")
        new = decide(events.events)
        try:
            return await store.append_events(coupon_id, "Coupon", new, events.version)
        except OptimisticLockError:
            if attempt == 5:
                raise
"""),
    _loop("""
    async def attempts_left(left):
        stream = await store.get_events(coupon_id, "Coupon")
        try:
            await store.append_events(coupon_id, "Coupon", decide(stream.events), stream.version)
        except OptimisticLockError:
            if left == 1:
                raise
            await attempts_left(left - 1)

    await attempts_left(5)
"""),
    _loop("""
    conflict = None
    for _ in range(5):
        past = [stored.event async for stored in store.read_stream(f"{coupon_id}:Coupon")]
        try:
            return await store.append_events(coupon_id, "Coupon", decide(past), len(past))
        except OptimisticLockError as error:
            conflict = error
    raise conflict
"""),
)

WRONG = (
    Wrong(
        _loop("""
    events = await store.get_events(coupon_id, "Coupon")
    await store.append_events(coupon_id, "Coupon", decide(events.events), events.version)
"""),
        hint=1,
    ),
    Wrong(
        _loop("""
    events = await store.get_events(coupon_id, "Coupon")
    await store.append_events(coupon_id, "Coupon", decide(events.events), ExpectedVersion.ANY)
"""),
        hint=2,
    ),
    Wrong(
        _loop("""
    new = decide((await store.get_events(coupon_id, "Coupon")).events)
    for attempt in range(5):
        version = await store.get_stream_version(coupon_id, "Coupon")
        try:
            return await store.append_events(coupon_id, "Coupon", new, version)
        except OptimisticLockError:
            if attempt == 4:
                raise
"""),
        hint=3,
    ),
    Wrong(
        _loop("""
    for attempt in range(1, 6):
        new = decide((await store.get_events(coupon_id, "Coupon")).events)
        version = await store.get_stream_version(coupon_id, "Coupon")
        try:
            return await store.append_events(coupon_id, "Coupon", new, version)
        except OptimisticLockError:
            if attempt == 5:
                raise
"""),
        hint=2,
    ),
    Wrong(
        _loop("""
    while True:
        events = await store.get_events(coupon_id, "Coupon")
        new = decide(events.events)
        try:
            return await store.append_events(coupon_id, "Coupon", new, events.version)
        except OptimisticLockError:
            continue
"""),
        hint=4,
    ),
    Wrong(
        _loop("""
    for attempt in range(5):
        try:
            events = await store.get_events(coupon_id, "Coupon")
            new = decide(events.events)
            return await store.append_events(coupon_id, "Coupon", new, events.version)
        except Exception as error:
            last = error
"""),
        hint=4,
    ),
)
