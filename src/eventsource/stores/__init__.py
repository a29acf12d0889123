"""Event stores: one port, one file per backend."""

from eventsource.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__)
