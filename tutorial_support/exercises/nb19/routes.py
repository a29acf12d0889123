"""Exercise 19.1: patterns that give each service what it needs, and nothing else."""

from collections.abc import Callable, Mapping
from uuid import uuid4

from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractQueue

from tutorial_support.exercises.model import Exercise, NotYet, Wrong

WANTED = {
    "mail": {"Order.OrderCreated.north", "Order.OrderCreated.south", "Payment.PaymentFailed.north"},
    "warehouse": {
        *("Order.OrderCreated.north", "Order.OrderCreated.south", "Order.OrderShipped.south"),
        "Stock.StockReceived.north",
    },
    "audit": {
        *("Order.OrderCreated.north", "Order.OrderCreated.south", "Order.OrderShipped.south"),
        *("Payment.PaymentFailed.north", "Payment.PaymentReceived.south"),
        *("Stock.StockReceived.north", "Backup"),
    },
    "north": {
        *("Order.OrderCreated.north", "Payment.PaymentFailed.north", "Stock.StockReceived.north"),
    },
}
KEYS = sorted(set().union(*WANTED.values()))


async def _check_routes(
    bindings: Callable[[], Mapping[str, list[str]]], channel: AbstractChannel
) -> None:
    patterns = bindings()
    if not isinstance(patterns, Mapping) or patterns.keys() != WANTED.keys():
        raise NotYet(
            seen=f"{patterns!r}"[:80],
            expected=f"a list of patterns for each of {', '.join(WANTED)}",
            hint=1,
        )
    exchange = await channel.declare_exchange(
        f"exercise-{uuid4()}", ExchangeType.TOPIC, auto_delete=True
    )
    queues = {}
    for service, wanted in patterns.items():
        queues[service] = await channel.declare_queue(exclusive=True)
        for pattern in wanted:
            await queues[service].bind(exchange, pattern)
    try:
        for key in KEYS:
            await exchange.publish(Message(key.encode()), key, mandatory=False)
        for service, queue in queues.items():
            _judge(service, await _all_of(queue))
    finally:
        for queue in queues.values():
            await queue.delete(if_unused=False, if_empty=False)


async def _all_of(queue: AbstractQueue) -> list[str]:
    keys = []
    while (message := await queue.get(fail=False, no_ack=True)) is not None:
        keys.append(message.body.decode())
    return keys


def _judge(service: str, got: list[str]) -> None:
    wanted = WANTED[service]
    if missing := sorted(wanted - set(got)):
        raise NotYet(
            seen=f"{service} does not get {missing[0]}",
            expected=f"all {len(wanted)} of its keys",
            hint=3 if missing == ["Backup"] else 2,
        )
    if extra := sorted(set(got) - wanted):
        raise NotYet(
            seen=f"{service} gets {extra[0]}", expected="nothing that it does not need", hint=1
        )


def _answer(mail: str, warehouse: str, audit: str, north: str) -> str:
    return f"""def bindings():
    return {{
        "mail": {mail},
        "warehouse": {warehouse},
        "audit": {audit},
        "north": {north},
    }}"""


MAIL = '["Order.OrderCreated.*", "Payment.PaymentFailed.*"]'
WAREHOUSE = '["Order.#", "Stock.#"]'


ROUTES = Exercise(
    id="19.1",
    title="Who hears what",
    task="""
The routing keys have three words now: kind, event, shop, such as `Order.OrderCreated.north`.
The backup sends `Backup`, one word. Return the patterns with which each service's queue is bound:
`mail` wants `OrderCreated` and `PaymentFailed` of all shops, `warehouse` all of `Order` and
`Stock`, `audit` everything there is, and `north` everything of the shop north. New events and new
shops must need no new binding.
""",
    answer="bindings",
    given=("channel",),
    time_limit_seconds=5.0,
    stub='''
def bindings():
    """A list of patterns for each service."""
    return {"mail": [], "warehouse": [], "audit": [], "north": []}
''',
    hints=(
        """
A queue may have several bindings, and gets a message once if any of them fits. Name the words that
matter, and put a wildcard where any word will do.
""",
        """
`*` is exactly one word. A key of three words does not fit `Order.*`, which has two. `#` is any
number of words, at the beginning, in the middle or at the end.
""",
        """
`Backup` has one word: only `#` alone fits it as well as the others.
""",
    ),
    solutions=(
        _answer(MAIL, WAREHOUSE, '["#"]', '["*.*.north"]'),
        _answer(
            '["*.OrderCreated.#", "#.PaymentFailed.*"]',
            '["Order.*.*", "Stock.*.*"]',
            '["#"]',
            '["#.north"]',
        ),
    ),
    wrong=(
        Wrong(_answer(MAIL, '["Order.*", "Stock.*"]', '["#"]', '["*.*.north"]'), 2),
        Wrong(_answer('["Order.#", "Payment.#"]', WAREHOUSE, '["#"]', '["*.*.north"]'), 1),
        Wrong(_answer(MAIL, WAREHOUSE, '["*.*.*"]', '["*.*.north"]'), 3),
        Wrong(_answer(MAIL, WAREHOUSE, '["#"]', '["#", "north"]'), 1),
    ),
    check=_check_routes,
)
