"""The type of personal data in events, and where in an event it is."""

import json
import secrets
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Final, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from eventsource.events.base import DomainEvent
from eventsource.events.confidential import MASK, Confidential
from eventsource.exceptions import DecryptionError, PrivacyError
from eventsource.privacy.encryption import Cipher

ERASED: Final = "[erased]"  #: the value of personal data whose key was destroyed
# The name of an opened value in a snapshot's JSON, on its way to the aggregate. It is made anew by
# every process, so nothing that is stored can pass for one.
_OPENED = f"opened-{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Subject:
    """Says whose data a field holds: `Annotated[Personal, Subject("customer_id")]`."""

    field: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored. All but the last is authenticated with it."""

    subject: str
    event_id: str
    field: str
    sealed: str = ""

    @property
    def place(self) -> str:
        return f"event {self.event_id}, field {self.field}"

    @property
    def bound_to(self) -> bytes:
        return json.dumps([self.subject, self.event_id, self.field]).encode()


class Personal(Confidential):
    """A text about a person, as the type of an event's field: `name: Personal`.

    It belongs to the event's aggregate, or to whom `Subject` names. As JSON it is ciphertext or an
    error, whoever writes it; as text it is a mask. The plain text is `value`; what an error says of
    it is masked in dead letters. What you write elsewhere in plain text, you must erase there.
    """

    __hash__ = None  # type: ignore[assignment]  # equal by value, and opening changes that
    __slots__ = ("_is_erased", "_sealed", "_value")

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"Personal data is text, not {type(value).__name__}.")
        self._value: str | None = value
        self._sealed: Sealed | None = None
        self._is_erased = False

    @property
    def value(self) -> str:
        """ERASED if the key was destroyed. PrivacyError for data that was read without a Vault."""
        if self._value is None:
            raise PrivacyError(
                "This personal data is sealed. Read events through a PrivateEventStore, or await "
                "vault.open_events([event])."
            )
        return self._value

    @property
    def is_erased(self) -> bool:
        return self._is_erased

    @property
    def secret(self) -> str:
        return "" if self._value is None or self._is_erased else self._value

    def _become(self, text: str | None) -> None:
        """None: the key was destroyed."""
        self._value, self._is_erased = ERASED if text is None else text, text is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Personal):
            return NotImplemented
        if self._sealed is not None and self._sealed == other._sealed:
            return True
        return self._value is not None and self._value == other._value

    def __str__(self) -> str:
        return ERASED if self.is_erased else MASK

    def __repr__(self) -> str:
        return f"Personal({self})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        stored = core_schema.no_info_plain_validator_function(_from_stored)
        return core_schema.json_or_python_schema(
            json_schema=stored,
            python_schema=core_schema.no_info_plain_validator_function(_from_python),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _to_json, when_used="json"
            ),
        )


def _from_python(value: Any) -> Personal:
    if isinstance(value, Personal):
        return value
    return Personal(value) if isinstance(value, str) else _from_stored(value)


def _from_stored(value: Any) -> Personal:
    if not isinstance(value, dict):
        raise ValueError("stored personal data is encrypted, and this is not")
    facts = {**value}
    opened = (facts.pop(_OPENED),) if _OPENED in facts else ()
    if not _is_sealed(facts) or any(not isinstance(fact, str) for fact in facts.values()):
        raise ValueError("this is not what a Vault makes of personal data")
    personal = Personal("")
    personal._sealed, personal._value = Sealed(**facts), None
    for text in opened:
        personal._become(text)
    return personal


def _to_json(personal: Personal) -> dict[str, str]:
    if personal._sealed is None:
        raise PrivacyError("personal data is not encrypted yet; append through PrivateEventStore")
    return asdict(personal._sealed)


@cache
def _fields_of(cls: type[DomainEvent]) -> dict[str, str]:
    """Names of the fields with personal data, and of those that say whose it is."""
    found = {}
    for name, field in cls.model_fields.items():
        if field.annotation is Personal or Personal in get_args(field.annotation):
            named = [each.field for each in field.metadata if isinstance(each, Subject)]
            found[name] = named[0] if named else "aggregate_id"
            if found[name] not in cls.model_fields:
                raise PrivacyError(
                    f"{cls.__name__}.{name} is of Subject({found[name]!r}), which is no field of "
                    f"{cls.__name__}."
                )
    return found


def personal_fields(event: DomainEvent) -> Iterator[tuple[Sealed, Personal]]:
    """Where the event's personal data belongs, and the data."""
    for name, subject_field in _fields_of(type(event)).items():
        data = getattr(event, name)
        if isinstance(data, Personal):
            subject = getattr(event, subject_field)
            if subject is None:
                raise PrivacyError(f"Whose is {name} of {event}? Its {subject_field} is None.")
            yield Sealed(str(subject), str(event.event_id), name), data


def is_to_keep(data: Personal, place: Sealed) -> bool:
    """Whether it is sealed for this place, and cannot be sealed again."""
    if data._value is not None and not data.is_erased:
        return False
    if data._sealed is not None and replace(data._sealed, sealed="") == place:
        return True
    raise PrivacyError(
        f"The personal data for {place.place} was taken from another event, and is "
        f"{'erased' if data.is_erased else 'not opened'}. Read it through a PrivateEventStore."
    )


def seal(data: Personal, place: Sealed, cipher: Cipher) -> Personal:
    """The data itself, so that the aggregate's state, which holds it too, can be stored as well;
    a new one if it is that of another event."""
    if data._sealed is not None and replace(data._sealed, sealed="") != place:
        data = Personal(data.value)
    encrypted = cipher.encrypt(data.value.encode("utf-8", "surrogatepass"), place.bound_to)
    data._sealed = replace(place, sealed=b64encode(encrypted).decode())
    return data


def check_place(sealed: Sealed, place: Sealed, event: DomainEvent) -> None:
    # An upcaster may have renamed the field: then no field of the class has the old name.
    field_moved = sealed.field != place.field and sealed.field in type(event).model_fields
    if (sealed.subject, sealed.event_id) != (place.subject, place.event_id) or field_moved:
        raise DecryptionError(place.subject, place.place, f"it was moved here from {sealed.place}")


def _is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == Sealed.__dataclass_fields__.keys()


def sealed_in(value: Any) -> Iterator[dict[str, str]]:
    """Every sealed value in a piece of JSON."""
    if _is_sealed(value):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from sealed_in(item)


def with_values(value: Any, opened: dict[str, str | None]) -> Any:
    if _is_sealed(value):
        return {**value, _OPENED: opened[value["sealed"]]}
    if isinstance(value, dict):
        return {key: with_values(item, opened) for key, item in value.items()}
    return [with_values(item, opened) for item in value] if isinstance(value, list) else value
