"""A process that tests share: a trip needs a hotel and then a flight, before a deadline."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    EventStore,
    Process,
    ProcessManager,
    ProcessState,
    ProcessTimedOut,
    handles,
    register_event,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE = timedelta(hours=1)


@register_event
class TripWanted(DomainEvent):
    aggregate_type: str = "Customer"
    trip: UUID


@register_event
class Booked(DomainEvent):
    aggregate_type: str = "Booking"
    kind: str
    trip: UUID


@register_event
class Unbooked(DomainEvent):
    aggregate_type: str = "Booking"
    trip: UUID


@register_event
class TripBegun(DomainEvent):
    aggregate_type: str = "Trip"


@register_event
class BookingNoted(DomainEvent):
    aggregate_type: str = "Trip"
    kind: str


@register_event
class TripReady(DomainEvent):
    aggregate_type: str = "Trip"


@register_event
class TripGivenUp(DomainEvent):
    aggregate_type: str = "Trip"
    undo: list[str]


class Booking(AggregateRoot[str]):
    aggregate_type = "Booking"

    def _get_initial_state(self) -> str:
        return "free"

    def _apply(self, event: DomainEvent) -> None:
        self._state = event.event_type

    def record(self, event_class: type[DomainEvent], **fields: Any) -> None:
        version = self.get_next_version()
        self.apply_event(
            event_class(aggregate_id=self.aggregate_id, aggregate_version=version, **fields)
        )


class TripState(ProcessState):
    booked: tuple[str, ...] = ()
    over: bool = False


class Trip(Process[TripState]):
    aggregate_type = "Trip"

    def _get_initial_state(self) -> TripState:
        return TripState()

    def _new_event(self, event_class: type[DomainEvent], **fields: Any) -> None:
        version = self.get_next_version()
        self.apply_event(
            event_class(aggregate_id=self.aggregate_id, aggregate_version=version, **fields)
        )

    def begin(self, due_at: datetime) -> None:
        self._new_event(TripBegun)
        self.set_timeout("bookings", due_at)

    def note(self, kind: str) -> None:
        if not self.state.over:
            self._new_event(BookingNoted, kind=kind)
            if kind == "flight":
                self.clear_timeout("bookings")
                self._new_event(TripReady)

    def give_up(self) -> None:
        if not self.state.over:
            self._new_event(TripGivenUp, undo=list(self.state.booked[::-1]))

    @handles(TripBegun)
    def _on_begun(self, event: TripBegun) -> None:
        self._state = self._get_initial_state()

    @handles(BookingNoted)
    def _on_noted(self, event: BookingNoted) -> None:
        self._state = self.state.model_copy(update={"booked": (*self.state.booked, event.kind)})

    @handles(TripReady)
    def _on_ready(self, event: TripReady) -> None:
        self._state = self.state.model_copy(update={"over": True})

    @handles(TripGivenUp)
    def _on_given_up(self, event: TripGivenUp) -> None:
        self._state = self.state.model_copy(update={"over": True})


class Agency(ProcessManager):
    """Books hotels at once; flights only where `has_flights`."""

    has_flights = True

    def __init__(
        self, store: EventStore, timeouts: Any, checkpoints: Any = None, **options: Any
    ) -> None:
        super().__init__(AggregateRepository(store, Trip), timeouts, checkpoints, **options)
        self.bookings = AggregateRepository(store, Booking)
        self.calls = 0

    def called(self) -> None:
        """After each effect, before the next one and before the checkpoint."""
        self.calls += 1

    async def book(self, kind: str, cause: DomainEvent) -> None:
        trip = cause.aggregate_id
        await self.bookings.update(
            uuid5(trip, kind),
            lambda booking: booking.record(Booked, kind=kind, trip=trip),
            create=True,
            cause=cause,
        )
        self.called()

    @handles(TripWanted)
    async def _begin(self, event: TripWanted) -> None:
        await self.processes.update(
            event.trip, lambda trip: trip.begin(NOON + PATIENCE), create=True, cause=event
        )
        self.called()

    @handles(TripBegun)
    async def _book_hotel(self, event: TripBegun) -> None:
        await self.book("hotel", event)

    @handles(Booked)
    async def _note(self, event: Booked) -> None:
        await self.processes.update(event.trip, lambda trip: trip.note(event.kind), cause=event)
        self.called()

    @handles(BookingNoted)
    async def _book_flight(self, event: BookingNoted) -> None:
        if event.kind == "hotel" and self.has_flights:
            await self.book("flight", event)

    @handles(ProcessTimedOut)
    async def _give_up(self, event: ProcessTimedOut) -> None:
        await self.processes.update(event.aggregate_id, lambda trip: trip.give_up(), cause=event)
        self.called()

    @handles(TripGivenUp)
    async def _undo(self, event: TripGivenUp) -> None:
        trip = event.aggregate_id
        for kind in event.undo:
            await self.bookings.update(
                uuid5(trip, kind), lambda booking: booking.record(Unbooked, trip=trip), cause=event
            )
            self.called()


class AgencyWithoutFlights(Agency):
    projection_name = "Agency"
    has_flights = False


async def want_a_trip(store: EventStore) -> TripWanted:
    wanted = TripWanted(aggregate_id=uuid4(), trip=uuid4())
    await store.append_events(wanted.aggregate_id, "Customer", [wanted], 0)
    return wanted


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


WITH_FLIGHT = [
    *("TripWanted", "TripBegun", "ProcessTimeoutSet", "Booked", "BookingNoted", "Booked"),
    *("BookingNoted", "ProcessTimeoutCleared", "TripReady"),
]
GIVEN_UP = [
    *("TripWanted", "TripBegun", "ProcessTimeoutSet", "Booked", "BookingNoted"),
    *("ProcessTimedOut", "TripGivenUp", "Unbooked"),
]
