"""Aggregates and the repository that loads and saves them."""

from eventsource.aggregates.base import AggregateRoot
from eventsource.aggregates.decider import Decider
from eventsource.aggregates.declarative import DeclarativeAggregate
from eventsource.aggregates.repository import AggregateRepository

__all__ = ["AggregateRepository", "AggregateRoot", "Decider", "DeclarativeAggregate"]
