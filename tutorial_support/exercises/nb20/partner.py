"""Exercise 20.2: a trace that began at a partner's goes on in the shop."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from opentelemetry import trace

from eventsource import AggregateRepository, InMemoryEventStore
from eventsource.observability import trace_of
from tutorial_support.domain import OrderAggregate
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{SPAN}-01", "content-type": "application/json"}


async def _check(take_order: Any) -> None:
    store = InMemoryEventStore()
    repository = AggregateRepository(store, OrderAggregate)

    async def trace_id_of(headers: dict[str, str]) -> str | None:
        order_id = uuid4()
        await take_order(headers, repository, order_id, Decimal(20))
        return await _trace_id(store, order_id)

    seen = await trace_id_of(HEADERS)
    if seen != TRACE:
        raise NotYet(
            seen=f"an order of the partner's trace {TRACE[:8]} is stored in trace {seen or 'none'}",
            expected="the event carries the partner's trace",
            hint=1,
        )
    if trace.get_current_span().get_span_context().is_valid:
        raise NotYet(
            seen="the partner's trace is still the current one after the call",
            expected="the trace ends with the call",
            hint=3,
        )
    try:
        seen = await trace_id_of({"content-type": "application/json"})
    except KeyError as error:
        raise NotYet(
            seen=f"a request without a trace raised KeyError: {error}",
            expected="an order all the same, in a trace of its own",
            hint=2,
        ) from None
    if seen in (None, TRACE):
        raise NotYet(
            seen=f"a request without a trace is stored in trace {seen or 'none'}",
            expected="a trace of its own",
            hint=2,
        )


async def _trace_id(store: InMemoryEventStore, order_id: UUID) -> str | None:
    events = (await store.get_events(order_id, "Order")).events
    if not events:
        raise NotYet(seen="no order", expected="repository.update creates one", hint=1)
    parent = trace_of(events[0].metadata).get("traceparent")
    return parent.split("-")[1] if parent else None


PARTNER = Exercise(
    id="20.2",
    title="Go on with a partner's trace",
    task="""
A partner's web site sends orders over HTTP. Its request begins a trace, which arrives in the header
`traceparent`; some requests have none. Write the handler: it creates the order with
`repository.update(order_id, ..., create=True)` for customer `"partner"`, as a part of the caller's
trace, or in a new one if there is none. `tracer` is the notebook's.
""",
    answer="take_order",
    stub="""
async def take_order(headers, repository, order_id, total):
    await repository.update(order_id, lambda it: it.create("partner", total), create=True)
""",
    hints=(
        """
`tracer.span(name, parent=headers)` opens a span that continues what the headers say. The repository
writes the trace of the current span into the event: call it inside the `with`.
""",
        """
Headers need not hold a `traceparent`. Do not take it out by hand: the tracer looks for what it
knows, and begins a new trace if there is nothing.
""",
        """
`with` leaves the span at the end of the block, also after an error. What you attach by hand, you
have to detach: the next request is served by the same task or thread.
""",
    ),
    solutions=(
        """
async def take_order(headers, repository, order_id, total):
    with tracer.span("take order", parent=headers):
        await repository.update(order_id, lambda it: it.create("partner", total), create=True)
""",
        """
from opentelemetry import context, propagate


async def take_order(headers, repository, order_id, total):
    token = context.attach(propagate.extract(headers))
    try:
        await repository.update(order_id, lambda it: it.create("partner", total), create=True)
    finally:
        context.detach(token)
""",
    ),
    wrong=(
        Wrong(
            """
async def take_order(headers, repository, order_id, total):
    with tracer.span("take order"):
        await repository.update(order_id, lambda it: it.create("partner", total), create=True)
""",
            hint=1,
        ),
        Wrong(
            """
async def take_order(headers, repository, order_id, total):
    with tracer.span("take order", {"traceparent": headers.get("traceparent", "")}):
        await repository.update(order_id, lambda it: it.create("partner", total), create=True)
""",
            hint=1,
        ),
        Wrong(
            """
async def take_order(headers, repository, order_id, total):
    with tracer.span("take order", parent={"traceparent": headers["traceparent"]}):
        await repository.update(order_id, lambda it: it.create("partner", total), create=True)
""",
            hint=2,
        ),
        Wrong(
            """
from opentelemetry import context, propagate


async def take_order(headers, repository, order_id, total):
    context.attach(propagate.extract(headers))
    await repository.update(order_id, lambda it: it.create("partner", total), create=True)
""",
            hint=3,
        ),
    ),
    check=_check,
)
