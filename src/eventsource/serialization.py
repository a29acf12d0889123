"""An event as the JSON text a store keeps, and back again.

Pydantic does all the typing on the way in. On the way out, values that JSON or PostgreSQL's JSONB
would change or refuse are refused here, so that every store answers alike.
"""

import dataclasses
import json
import math
import types
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from eventsource.events.base import DomainEvent
from eventsource.events.registry import EventRegistry
from eventsource.exceptions import (
    EventTypeNotFoundError,
    SerializationError,
    UnreadableEventError,
)
from eventsource.type_conversion import TypeConverter

_SCALARS = (str, int, float, bool, bytes, Decimal, UUID, datetime, date, time, timedelta)
_FREE_FORM = (Any, object, dict, list, Mapping)


def encode(event: DomainEvent) -> str:
    """The JSON text of the whole event.

    SerializationError, naming the field, for a NUL character or a lone surrogate in a string, for
    NaN or infinity, and for a key that is no string in free-form data.
    """
    try:
        text = event.model_dump_json(round_trip=True)
    except (PydanticSerializationError, RecursionError) as error:
        _refuse_lossy_values(event)
        raise SerializationError(event.event_type, f"event {event.event_id}: {error}") from error
    free, needs_look = _fields_to_watch(type(event))
    if needs_look or "\\u0000" in text or any(getattr(event, name) for name in free):
        _refuse_lossy_values(event)
    return text


def decode(
    cls: type[DomainEvent], text: str, converter: TypeConverter | None, place: str
) -> DomainEvent:
    """The event in `text`; UnreadableEventError if it does not fit the class."""
    try:
        event = cls.model_validate_json(text)
    except ValidationError as error:
        raise _unreadable(cls, text, place, error) from error
    if converter is not None:
        for name in _fields_to_watch(cls)[0]:
            if value := getattr(event, name):
                # The object is ours until we return it, so writing around `frozen` is safe.
                event.__dict__[name] = converter.convert_types({name: value})[name]
    return event


def decode_stored(
    registry: EventRegistry,
    event_type: str,
    text: str,
    converter: TypeConverter | None,
    place: str,
) -> DomainEvent:
    """Like `decode`, with the class from the registry.

    UnreadableEventError names the event, its type, the `place` it stands at, and the way out.
    """
    try:
        cls = registry.get(event_type)
    except EventTypeNotFoundError as error:
        event_id = UUID(json.loads(text)["event_id"])
        raise UnreadableEventError(event_type, event_id, place, str(error)) from error
    return decode(cls, text, converter, place)


def _unreadable(
    cls: type[DomainEvent], text: str, place: str, error: ValidationError
) -> UnreadableEventError:
    stored = json.loads(text)
    problems = "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'event'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    )
    reason = (
        f"it no longer fits {cls.__name__} ({problems}). Events are never changed, so let the "
        "class accept what is stored: give new fields a default and keep removed ones."
    )
    return UnreadableEventError(stored["event_type"], UUID(stored["event_id"]), place, reason)


@cache
def _fields_to_watch(cls: type[DomainEvent]) -> tuple[tuple[str, ...], bool]:
    """Names of the free-form fields, and whether a field could hide a lossy value from pydantic.

    Fields of plain scalars cannot: the event's own configuration refuses NaN when it is built.
    """
    free = tuple(n for n, field in cls.model_fields.items() if _is_free(field.annotation))
    plain = all(
        name in free or _is_plain(field.annotation) for name, field in cls.model_fields.items()
    )
    return free, not plain


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
    if origin is not None:
        return all(argument is ... or _is_plain(argument) for argument in arguments)
    return isinstance(annotation, type) and (annotation in _SCALARS or issubclass(annotation, Enum))


def _refuse_lossy_values(event: DomainEvent) -> None:
    free = _fields_to_watch(type(event))[0]
    for name, value in event.__dict__.items():
        for path, problem in _problems(value, name, in_free_form=name in free):
            raise SerializationError(
                event.event_type, f"event {event.event_id}: field '{path}' holds {problem}"
            )


def _problems(value: Any, path: str, *, in_free_form: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if "\0" in value:
            yield path, "the character U+0000, which PostgreSQL cannot store"
        elif any("\ud800" <= character <= "\udfff" for character in value):
            yield path, "half of a surrogate pair, which is no Unicode text"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, f"{value}, which JSON has no number for"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if in_free_form and not isinstance(key, str):
                yield path, f"the key {key!r}; keys of JSON objects are strings"
            yield from _problems(key, f"{path} (a key)", in_free_form=False)
            yield from _problems(item, f"{path}.{key}", in_free_form=in_free_form)
    else:
        for key, item in _children(value):
            yield from _problems(item, f"{path}.{key}", in_free_form=in_free_form)


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, BaseModel):
        yield from value.__dict__.items()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from enumerate(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
