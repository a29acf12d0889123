"""Exercise 18.1: the key that keeps all that concerns one order in one partition."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from uuid import NAMESPACE_URL, UUID, uuid5

from aiokafka.partitioner import DefaultPartitioner

from eventsource import DomainEvent
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.domain.stock import StockReserved
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

PARTITIONS = list(range(6))
ORDERS = 60


async def _check_keys(key_of: Callable[[DomainEvent], bytes]) -> None:
    orders = [
        {event.event_type: _partition(key_of(event)) for event in _story(number)}
        for number in range(ORDERS)
    ]
    if torn := [where for where in orders if len(set(where.values())) > 1]:
        told = ", ".join(f"{name} in {partition}" for name, partition in torn[0].items())
        shipped_elsewhere = any(each["OrderCreated"] != each["OrderShipped"] for each in orders)
        raise NotYet(
            seen=f"one order in several partitions: {told}",
            expected="all three events of an order in one partition",
            hint=1 if shipped_elsewhere else 2,
        )
    used = Counter(where["OrderCreated"] for where in orders)
    if len(used) < len(PARTITIONS):
        raise NotYet(
            seen=f"{ORDERS} orders in {len(used)} of {len(PARTITIONS)} partitions",
            expected="orders spread over all partitions, so that six consumers can work",
            hint=3,
        )


def _partition(key: object) -> int:
    if not isinstance(key, bytes):
        raise NotYet(
            seen=f"a key of type {type(key).__name__}",
            expected="bytes, which is what Kafka hashes: `str(an_id).encode()`",
            hint=1,
        )
    return int(DefaultPartitioner()(key, PARTITIONS, PARTITIONS))


def _story(number: int) -> tuple[DomainEvent, ...]:
    """An order is created, an article put aside for it, and it is shipped."""

    def name(what: str) -> UUID:
        return uuid5(NAMESPACE_URL, f"{what}-{number}")

    order, ids = name("order"), [name(f"event-{n}") for n in range(3)]
    return (
        OrderCreated(event_id=ids[0], aggregate_id=order, customer_id="c", total=Decimal(1)),
        StockReserved(event_id=ids[1], aggregate_id=name("article"), order_id=order, quantity=1),
        OrderShipped(event_id=ids[2], aggregate_id=order, tracking_number="T"),
    )


def _answer(body: str) -> str:
    return f"def key_of(event):\n{body}"


KEYS = Exercise(
    id="18.1",
    title="The key of a parcel",
    task="""
The warehouse needs all that concerns one order in the order in which it happened: `OrderCreated`,
then `StockReserved`, then `OrderShipped`. But `StockReserved` is an event of the *article*: its
`aggregate_id` is the article's, and `order_id` says for which order. Return the key, as bytes, with
which Kafka keeps an order's events together, while different orders spread over all partitions.
""",
    answer="key_of",
    stub='''
def key_of(event):
    """The key of this event's message, as bytes."""
    ...
''',
    hints=(
        """
Equal keys, same partition. A key is bytes, such as `str(event.aggregate_id).encode()`; one that
differs for each event, like the event's id, keeps nothing together.
""",
        """
The order's id stands in `aggregate_id` for events of the order, and in `order_id` for
`StockReserved`. Ask the event whether it has an `order_id`.
""",
        """
A key that is the same for all orders keeps everything in order, in one partition, for one consumer.
Take the smallest thing whose order matters: here, one order.
""",
    ),
    solutions=(
        _answer('    return str(getattr(event, "order_id", event.aggregate_id)).encode()'),
        _answer("""    match event.event_type:
        case "StockReserved":
            return event.order_id.bytes
        case _:
            return event.aggregate_id.bytes"""),
    ),
    wrong=(
        Wrong(_answer("    return str(event.event_id).encode()"), 1),
        Wrong(_answer("    return event.aggregate_id"), 1),
        Wrong(_answer("    return str(event.aggregate_id).encode()"), 2),
        Wrong(_answer('    return b"orders"'), 3),
        Wrong(_answer("    return event.event_type.encode()"), 1),
    ),
    check=_check_keys,
)
