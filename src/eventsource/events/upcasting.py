"""Upcasters: stored events of an older form, read as if they had been stored today.

Rows stay as they are. Each upcaster takes an event type from one `event_version` to the next, so a
new form adds one function and changes none. The technique is described in Greg Young, "Versioning
in an Event Sourced System".
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic_core import to_json

from eventsource.events.ids import event_id_in
from eventsource.events.registry import EventRegistry, Upcaster, default_registry
from eventsource.exceptions import UnreadableEventError

TUpcaster = TypeVar("TUpcaster", bound=Upcaster)

# Stores search and order by these; an event is not to become another one on its way out.
_IDENTITY = ("event_id", "event_type", "aggregate_id", "aggregate_type", "aggregate_version")


def register_upcaster(
    event_type: str, *, from_version: int, registry: EventRegistry | None = None
) -> Callable[[TUpcaster], TUpcaster]:
    """Decorator of a function that takes the stored fields of an event, a dictionary as JSON
    gives it, and returns those of the next version.

    `event_version` is counted up for you; set the class's default to the version it stands for.
    DuplicateUpcasterError if another function does this step.
    """

    def register(upcaster: TUpcaster) -> TUpcaster:
        (registry or default_registry).register_upcaster(event_type, from_version, upcaster)
        return upcaster

    return register


def upcast(registry: EventRegistry, event_type: str, text: str, place: Callable[[], str]) -> str:
    """The JSON text in its latest form; the very text if no upcaster applies.

    UnreadableEventError if an upcaster fails, or if one is missing in the middle of the chain.
    """
    chain = registry.upcasters_of(event_type)
    if not chain:
        return text
    try:
        stored: dict[str, Any] = json.loads(text)
        version = stored.get("event_version", 1)
        if version > max(chain):
            return text
        data = json.loads(text)
        for step in range(version, max(chain) + 1):
            data = _next_version(chain, step, data)
        _check_identity(stored, data)
        return to_json(data, inf_nan_mode="constants").decode()
    except Exception as error:
        event_id = event_id_in(text, at := place())
        raise UnreadableEventError(event_type, event_id, at, str(error)) from error


def _next_version(chain: dict[int, Upcaster], version: int, data: dict[str, Any]) -> dict[str, Any]:
    if version not in chain:
        raise LookupError(
            f"nothing takes it from version {version} to {version + 1}, though there is an "
            "upcaster for a later version. Register one with @register_upcaster."
        )
    name = getattr(chain[version], "__qualname__", repr(chain[version]))
    try:
        result: object = chain[version](data)
    except Exception as error:
        raise ValueError(
            f"upcaster {name} from version {version} raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(result, dict):
        raise TypeError(f"upcaster {name} returned {type(result).__name__} instead of a dictionary")
    return {**result, "event_version": version + 1}


def _check_identity(stored: dict[str, Any], data: dict[str, Any]) -> None:
    changed = [name for name in _IDENTITY if str(data.get(name)) != str(stored.get(name))]
    if changed:
        raise ValueError(f"its upcasters change {', '.join(changed)}, by which stores find events")
