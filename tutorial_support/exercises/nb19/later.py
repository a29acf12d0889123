"""Exercise 19.2: a retry ladder, whose steps do not stand in each other's way."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from uuid import uuid4

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from tutorial_support.exercises.model import Exercise, NotYet, Wrong
from tutorial_support.lab import eventually

STEPS = (0.1, 0.4)  # seconds after the first and the second failure
PATIENCE = 1.5
FIRST, SECOND = b"first", b"second"

TryLater = Callable[[AbstractChannel, AbstractIncomingMessage, str], Awaitable[object]]


@dataclass
class Bench:
    """A consumer whose work always fails."""

    channel: AbstractChannel
    name: str
    try_later: TryLater
    arrivals: dict[bytes, list[float]] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)  # seconds, for one failure after another
    error: BaseException | None = None
    running: set[asyncio.Task[None]] = field(default_factory=set)

    async def consume(self, message: AbstractIncomingMessage) -> None:
        """The driver does not wait for what it calls, so this can be ended."""
        task = asyncio.ensure_future(self.fail(message))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        await task

    async def fail(self, message: AbstractIncomingMessage) -> None:
        began = time.monotonic()
        self.arrivals.setdefault(message.body, []).append(began)
        if len(self.arrivals[message.body]) <= len(STEPS) + 3:
            try:
                await self.try_later(self.channel, message, self.name)
            except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001  # told below
                self.error = error
        self.took.append(time.monotonic() - began)
        if message.body == FIRST and len(self.arrivals[FIRST]) == 2:
            await self.send(
                SECOND
            )  # which begins with the short step; the first is on the long one
        await message.ack()

    async def send(self, body: bytes) -> None:
        message = Message(body, message_id=f"m-{body.decode()}")
        await self.channel.default_exchange.publish(message, f"{self.name}.work")


async def _check_later(try_later: TryLater, channel: AbstractChannel) -> None:
    name = f"exercise-{uuid4().hex[:8]}"
    work = await channel.declare_queue(f"{name}.work", arguments={"x-expires": 60_000})
    parked = await channel.declare_queue(f"{name}.parked", exclusive=True)
    bench = Bench(channel, name, try_later)
    tag = await work.consume(bench.consume)
    try:
        await _run(bench, parked)
    finally:
        for task in bench.running:
            task.cancel()
        await work.cancel(tag)
        for each in (work, parked):
            await channel.queue_delete(each.name)


async def _run(bench: Bench, parked: AbstractQueue) -> None:
    await bench.send(FIRST)
    _judge(bench, parked=await _is_parked(parked, bench))
    await _until(lambda: len(bench.arrivals.get(SECOND, ())) >= 2, bench)
    gap = _gaps(bench, SECOND)[0]
    behind = [at for at in bench.arrivals[FIRST][2:] if at < bench.arrivals[SECOND][1]]
    if gap > STEPS[0] + 0.15 and behind:
        raise NotYet(
            seen=f"the first retry came after {gap:.1f} s, behind one that had to wait longer",
            expected=f"{STEPS[0]} s, whatever else is waiting",
            hint=3,
        )


async def _until(condition: Callable[[], bool], bench: Bench) -> None:
    try:
        await eventually(lambda: condition() or bench.error, timeout_seconds=PATIENCE)
    except AssertionError as late:
        raise NotYet(
            seen="a message that never came back", expected="a second and a third attempt", hint=1
        ) from late
    if bench.error is not None:
        raise bench.error


async def _is_parked(parked: AbstractQueue, bench: Bench) -> bool:
    """Whether the first message is, once it is or has come too often."""
    letter: AbstractIncomingMessage | None = None

    async def is_settled() -> bool:
        nonlocal letter
        letter = await parked.get(fail=False, no_ack=True)
        too_often = len(bench.arrivals.get(FIRST, ())) > len(STEPS) + 1
        return bench.error is not None or too_often or (letter is not None and letter.body == FIRST)

    with suppress(AssertionError):
        await eventually(is_settled, timeout_seconds=PATIENCE)
    return letter is not None and letter.body == FIRST


def _gaps(bench: Bench, body: bytes) -> list[float]:
    times = bench.arrivals[body]
    return [after - before for before, after in pairwise(times)]


def _judge(bench: Bench, *, parked: bool) -> None:
    if bench.error is not None:
        raise bench.error
    gaps = _gaps(bench, FIRST)
    # A busy machine may be slow once; who sleeps is slow at each step.
    if all(took > 0.9 * step for took, step in zip(bench.took, STEPS, strict=False)):
        raise NotYet(
            seen=f"the consumer stood still for {max(bench.took):.1f} s",
            expected="a consumer that goes on with other messages: RabbitMQ waits, not you",
            hint=1,
        )
    if gaps and gaps[0] < STEPS[0] * 0.9:
        raise NotYet(
            seen=f"the message came back after {gaps[0] * 1000:.0f} ms",
            expected=f"{STEPS[0] * 1000:.0f} ms",
            hint=1,
        )
    if len(gaps) > len(STEPS) or (not parked and len(gaps) == len(STEPS)):
        raise NotYet(
            seen=f"{len(gaps) + 1} attempts, and nothing in the parked queue",
            expected="three attempts, and then the message is parked",
            hint=2,
        )
    if len(gaps) < len(STEPS) or gaps[1] < STEPS[1] * 0.9:
        raise NotYet(
            seen=f"attempts after {', '.join(f'{gap * 1000:.0f} ms' for gap in gaps) or 'nothing'}",
            expected="100 ms after the first failure, 400 ms after the second",
            hint=2,
        )


def _answer(body: str) -> str:
    return f"import aio_pika\n\n\nasync def try_later(channel, message, name):\n{body}"


COUNT = '    failures = message.headers.get("failures", 0) + 1\n'
LADDER = """    if failures > 2:
        target = f"{name}.parked"
    else:
        target = f"{name}.later-{failures}"
        await channel.declare_queue(
            target,
            arguments={
                "x-message-ttl": (100, 400)[failures - 1],
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": f"{name}.work",
                "x-expires": 60_000,
            },
        )
"""
SEND = """    again = aio_pika.Message(message.body, headers={"failures": failures})
    await channel.default_exchange.publish(again, target)"""

LATER = Exercise(
    id="19.2",
    title="A retry ladder",
    task="""
The work of a message has failed. Write what the consumer calls then, before it acknowledges: after
the first failure the message comes back to the queue `{name}.work` in **100 ms**, after the second
in **400 ms**, and after the third it goes to `{name}.parked`, which is there. Other messages
must not wait meanwhile, whatever step they are on. `channel` declares queues, with
`"x-expires": 60_000` in their arguments, so that RabbitMQ removes them when nobody uses them.
""",
    answer="try_later",
    given=("channel",),
    time_limit_seconds=5,
    stub='''
async def try_later(channel, message, name):
    """Called when the work of this message has failed."""
    ...
''',
    hints=(
        """
A queue that nobody reads, with `x-message-ttl`, and with `x-dead-letter-exchange` `""` and
`x-dead-letter-routing-key` `f"{name}.work"`: what you publish into it comes back by itself. Do not
sleep in the consumer: it would hold up everything behind.
""",
        """
Count the failures in a header of the message that you publish:
`aio_pika.Message(message.body, headers={"failures": failures})`. At the third one publish to
`f"{name}.parked"`.
""",
        """
A queue lets its messages out in order. One that has to wait for 400 ms holds back the one behind
it, even if that has an `expiration` of 100 ms. Take a queue for each step.
""",
    ),
    solutions=(
        _answer(COUNT + LADDER + SEND),
        """import aio_pika

STEPS = {0: 100, 1: 400}


async def try_later(channel, message, name):
    detours = sum(int(death["count"]) for death in message.headers.get("x-death", []))
    again = aio_pika.Message(message.body, headers=message.headers)
    if (wait := STEPS.get(detours)) is None:
        await channel.default_exchange.publish(again, f"{name}.parked")
        return
    back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.work"}
    queue = await channel.declare_queue(f"{name}.in-{wait}", arguments={**back, "x-expires": 60000})
    again.expiration = wait / 1000
    await channel.default_exchange.publish(again, queue.name)""",
    ),
    wrong=(
        Wrong(
            "import asyncio\n\n"
            + _answer(
                COUNT
                + """    target = f"{name}.work" if failures < 3 else f"{name}.parked"
    await asyncio.sleep(0.1 if failures == 1 else 0.4)
"""
                + SEND
            ),
            1,
        ),
        Wrong(
            _answer(
                COUNT + '    target = f"{name}.work" if failures < 3 else f"{name}.parked"\n' + SEND
            ),
            1,
        ),
        Wrong(
            _answer("    failures = 1\n" + LADDER + SEND),
            2,
        ),
        Wrong(
            _answer(
                COUNT
                + """    arguments = {"x-dead-letter-exchange": "", "x-expires": 60_000}
    arguments["x-dead-letter-routing-key"] = f"{name}.work"
    queue = await channel.declare_queue(f"{name}.later", arguments=arguments)
    again = aio_pika.Message(message.body, headers={"failures": failures})
    if failures < 3:
        again.expiration = 0.1 if failures == 1 else 0.4
    target = queue.name if failures < 3 else f"{name}.parked"
    await channel.default_exchange.publish(again, target)"""
            ),
            3,
        ),
    ),
    check=_check_later,
)
