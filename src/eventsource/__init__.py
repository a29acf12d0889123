"""Event sourcing on asyncio: events, aggregates and event stores."""

from eventsource.lazy_names import lazy_names

_get, __dir__, __all__ = lazy_names(__name__)


def __getattr__(name: str) -> object:
    if name != "__version__":
        return _get(name)
    from importlib.metadata import version

    value = globals()[name] = version("eventsource-tutorial")
    return value
