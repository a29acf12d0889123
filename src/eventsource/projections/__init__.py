"""Read models that follow the events."""

from eventsource.handlers import handles
from eventsource.projections.base import CheckpointTrackingProjection
from eventsource.projections.database import DatabaseProjection
from eventsource.projections.declarative import DeclarativeProjection
from eventsource.projections.inline import InlineEventStore
from eventsource.projections.rebuild import rebuild_blue_green, rebuild_in_place
from eventsource.retries import RetryPolicy

__all__ = [
    "CheckpointTrackingProjection",
    "DatabaseProjection",
    "DeclarativeProjection",
    "InlineEventStore",
    "RetryPolicy",
    "handles",
    "rebuild_blue_green",
    "rebuild_in_place",
]
