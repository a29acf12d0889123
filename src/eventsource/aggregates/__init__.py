"""Aggregates and the repository that loads and saves them."""

from eventsource.aggregates.base import AggregateRoot
from eventsource.aggregates.repository import AggregateRepository

__all__ = ["AggregateRepository", "AggregateRoot"]
