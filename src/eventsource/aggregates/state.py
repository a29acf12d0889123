"""An aggregate's state as JSON, and back: what a snapshot keeps."""

import json
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError

from eventsource.exceptions import SnapshotError
from eventsource.serialization import problems_of


def dump_state(owner: type, state: object) -> dict[str, Any]:
    """SnapshotError for a state that JSON cannot hold or would change."""
    try:
        adapter = _adapter(owner)
        text = adapter.dump_json(state, round_trip=True, warnings="error")
        if adapter.validate_json(text) != state:
            raise SnapshotError(
                f"The state of {owner.__qualname__} would come back changed. Give its fields "
                "narrower types, and let it compare by value."
            )
        values = json.loads(text)
    except (ValidationError, PydanticSerializationError, RecursionError) as error:
        raise SnapshotError(f"The state of {owner.__qualname__} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise SnapshotError(f"The state of {owner.__qualname__} is no object with fields.")
    return values


def load_state(owner: type, values: dict[str, Any]) -> Any:
    """SnapshotError if the values do not fit the state's class."""
    try:
        return _adapter(owner).validate_json(json.dumps(values))
    except ValidationError as error:
        problems = problems_of(error, "state")
        raise SnapshotError(f"It does not fit {owner.__qualname__}'s state: {problems}") from error


@cache
def _adapter(owner: type) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(_state_type(owner))
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise SnapshotError(
            f"Snapshots of {owner.__qualname__} need a state that pydantic can write: a model, a "
            "dataclass or a TypedDict. Or override _serialize_state and _restore_from_snapshot."
        ) from error


def _state_type(owner: type) -> Any:
    """State in `class Order(AggregateRoot[State])`, wherever in the family that is said."""
    for cls in owner.__mro__:
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and hasattr(origin, "_restore_from_snapshot"):
                state_type = get_args(base)[0]
                if not isinstance(state_type, TypeVar):
                    return state_type
    raise SnapshotError(
        f"What is the state of {owner.__qualname__}? Say it in the class: AggregateRoot[State]."
    )
