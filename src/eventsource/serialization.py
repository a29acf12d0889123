"""An event as the JSON text a store keeps, and back again.

Pydantic does all the typing on the way in. On the way out, values that JSON or PostgreSQL's JSONB
would change or refuse are refused here, so that every store answers alike.
"""

import dataclasses
import math
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, NaiveDatetime, ValidationError
from pydantic_core import PydanticSerializationError

from eventsource.events.base import DomainEvent
from eventsource.events.ids import event_id_in
from eventsource.events.registry import EventRegistry
from eventsource.events.upcasting import upcast
from eventsource.exceptions import (
    EventTypeNotFoundError,
    SerializationError,
    UnreadableEventError,
)
from eventsource.type_conversion import TypeConverter

_SCALARS = (
    *(str, int, float, bool, bytes, Decimal, UUID),
    *(date, datetime, time, timedelta, AwareDatetime, NaiveDatetime),
)
_MOST_LEVELS = 150  # pydantic's JSON parser stops at 200
_FREE_FORM = (Any, object, dict, list, Mapping)


def encode(event: DomainEvent) -> str:
    """The JSON text of the whole event.

    SerializationError, naming the field, for a NUL character or a lone surrogate in a string, for
    NaN or infinity, and for a key that is no string in free-form data.
    """
    values = event.__dict__
    try:
        # What model_dump_json calls, without a fifth of its price.
        text = event.__pydantic_serializer__.to_json(event, round_trip=True).decode()
    except (PydanticSerializationError, RecursionError) as error:
        _refuse_lossy_values(event, values)
        raise SerializationError(event.event_type, f"event {event.event_id}: {error}") from error
    free, doubtful = _fields_to_watch(type(event))
    if "\\u0000" in text:
        _refuse_lossy_values(event, values)
    elif doubtful or any(map(values.get, free)):
        _refuse_lossy_values(event, (*free, *doubtful))
    if doubtful:
        _prove_exact(event, text, doubtful)
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class EventReader:
    """Turns stored text into events, upcast and with the class from the registry.

    Without a converter free-form values stay as JSON gives them.
    """

    registry: EventRegistry
    converter: TypeConverter | None = None

    def read(
        self,
        event_type: str,
        text: str,
        place: Callable[[], str],
        *,
        version: int | None = None,
        fallback: type[DomainEvent] | None = None,
    ) -> DomainEvent:
        """UnreadableEventError, with its place, for an unknown type and a text that does not fit.

        `version` is what the log says: text that other programs stored may name another.
        `fallback` is the class for a type that nobody registered.
        """
        text = upcast(self.registry, event_type, text, place)
        cls = self.registry.get_or_none(event_type) or fallback
        try:
            cls = cls or self.registry.get(event_type)
            # What model_validate_json calls, without a tenth of its price.
            event: DomainEvent = cls.__pydantic_validator__.validate_json(text)
        except EventTypeNotFoundError as error:
            event_id = event_id_in(text, at := place())
            raise UnreadableEventError(event_type, event_id, at, str(error)) from error
        except ValidationError as error:
            assert cls is not None
            event_id, reason = event_id_in(text, at := place()), _misfit(cls, error)
            raise UnreadableEventError(event_type, event_id, at, reason) from error
        # The object is ours until we return it, so writing around `frozen` is safe.
        values = event.__dict__
        if self.converter is not None:
            for name in _fields_to_watch(cls)[0]:
                if value := values[name]:
                    values[name] = self.converter.convert_types({name: value})[name]
        if version is not None and values["aggregate_version"] != version:
            values["aggregate_version"] = version
        return event


def _misfit(cls: type[DomainEvent], error: ValidationError) -> str:
    return (
        f"it no longer fits {cls.__name__} ({problems_of(error, 'event')}). Events are never "
        "changed, so let the class accept what is stored: give new fields a default and keep "
        "removed ones, or write an upcaster (@register_upcaster)."
    )


def problems_of(error: ValidationError, whole: str) -> str:
    """Which fields of the whole are wrong, and why; not what they hold, which may be personal."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or whole}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    )


@cache
def _fields_to_watch(cls: type[DomainEvent]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the free-form fields, and of the others that are not plain.

    A plain field is read back as it was written, and the event's own configuration has refused NaN
    in it. A nested model may have another configuration, and a union of types picks one by looks.
    """
    types_of = {name: field.annotation for name, field in cls.model_fields.items()}
    free = tuple(name for name, annotation in types_of.items() if _is_free(annotation))
    doubtful = (n for n, annotation in types_of.items() if not _is_plain(annotation))
    return free, tuple(name for name in doubtful if name not in free)


def _is_free(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_free(arguments[0])
    if origin in (Union, types.UnionType):
        return any(_is_free(argument) for argument in arguments)
    if arguments:
        return origin in (dict, list, Mapping) and arguments[-1] in (Any, object)
    return any(annotation is kind for kind in _FREE_FORM)


def _is_plain(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal or annotation is None or annotation is types.NoneType:
        return True
    if origin is Annotated:
        return _is_plain(arguments[0])
    if _is_choice(annotation):
        return False
    if origin is not None:
        return all(argument is ... or _is_plain(argument) for argument in arguments)
    return isinstance(annotation, type) and (annotation in _SCALARS or issubclass(annotation, Enum))


def _is_choice(annotation: Any) -> bool:
    """A union of several types, None aside."""
    some = [argument for argument in get_args(annotation) if argument is not types.NoneType]
    return get_origin(annotation) in (Union, types.UnionType) and len(some) > 1


def _prove_exact(event: DomainEvent, text: str, names: Iterable[str]) -> None:
    try:
        copy = type(event).model_validate_json(text)
    except ValidationError as error:
        raise SerializationError(
            event.event_type, f"event {event.event_id} could not be read again: {error}"
        ) from error
    for name in names:
        value, read = getattr(event, name), getattr(copy, name)
        if read != value:
            raise SerializationError(
                event.event_type,
                f"event {event.event_id}: field '{name}' would come back as {read!r}, not as "
                f"{value!r}; give it a narrower type",
            )


def _refuse_lossy_values(event: DomainEvent, names: Iterable[str]) -> None:
    free, fields = _fields_to_watch(type(event))[0], type(event).model_fields
    pending: list[tuple[Any, str, int, bool]] = [
        (getattr(event, name), name, 1, name in free or _is_choice(fields[name].annotation))
        for name in names
    ]
    while pending:
        value, path, depth, in_free_form = pending.pop()
        problem = _problem(value, in_free_form)
        if depth > _MOST_LEVELS:
            path, problem = path.partition(".")[0], f"more than {_MOST_LEVELS} levels of nesting"
        if problem:
            raise SerializationError(
                event.event_type, f"event {event.event_id}: field '{path}' holds {problem}"
            )
        for key, item in _children(value):
            if in_free_form and isinstance(value, Mapping) and not isinstance(key, str):
                raise SerializationError(
                    event.event_type,
                    f"event {event.event_id}: field '{path}' holds the key {key!r}; keys of JSON "
                    "objects are strings",
                )
            pending.append((key, f"{path} (a key)", depth, False))
            pending.append((item, f"{path}.{key}", depth + 1, in_free_form))


def _problem(value: Any, in_free_form: bool) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}, which JSON has no number for"
    if isinstance(value, float) and in_free_form and int(Decimal(repr(value))) != int(value):
        # JSONB writes 3.5374e+16 as the whole number 35374000000000000, which is another one.
        return f"{value}, a number too big for free-form data; give it a field of type float"
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return None
    if "\0" in value:
        return "the character U+0000, which PostgreSQL cannot store"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "half of a surrogate pair, which is no Unicode text"
    return None


def _children(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, BaseModel):
        return value.__dict__.items()
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return ()
