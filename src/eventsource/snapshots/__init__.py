"""Snapshots: the state of an aggregate at a version, so that a load replays only what follows."""

from eventsource.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__)
