"""Personal data as a value: hidden wherever it is shown or written."""

import builtins
import json
from typing import Annotated
from uuid import uuid4

import pytest
from pydantic import ValidationError

from eventsource import (
    DomainEvent,
    EventSourceError,
    InMemoryEventStore,
    InMemoryKeyRepository,
    Personal,
    PrivacyError,
    PrivacyNotAvailableError,
    SerializationError,
    Subject,
    Vault,
    register_event,
)
from eventsource.events.confidential import masked


@register_event
class GuestArrived(DomainEvent):
    aggregate_type: str = "Guest"
    name: Personal
    host: Annotated[Personal | None, Subject("host_id")] = None
    host_id: str | None = None


def arrived(**fields: object) -> GuestArrived:
    return GuestArrived(**{"aggregate_id": uuid4(), "name": "Ada Lovelace", **fields})


def vault() -> Vault:
    return Vault(InMemoryKeyRepository(), Vault.new_master_key())


def test_it_is_a_text_that_hides() -> None:
    event = arrived()
    assert event.name.value == "Ada Lovelace"
    assert event.name == Personal("Ada Lovelace")
    assert event.name != Personal("Ada")
    assert event.name != "Ada Lovelace"
    shown = f"{event} {event!r} {event.name} {event.name!r} {event.model_dump()} {[event.name]}"
    assert "Ada" not in shown
    with pytest.raises(TypeError):
        Personal(7)
    with pytest.raises(ValidationError):
        arrived(name=7)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Key (name)=(Ada Lovelace) already exists", "Key (name)=([personal]) already exists"),
        ("ADA LOVELACE, ada lovelace", "[personal], [personal]"),
        ("Adalbert", "Adalbert"),
        ("at Ada's: Ada Lovelace", "at [personal]'s: [personal]"),
        ("no name in here", "no name in here"),
    ],
)
def test_a_text_about_an_event_is_masked(said: str, kept: str) -> None:
    assert masked(said, arrived(host="Ada", host_id="h")) == kept


@pytest.mark.parametrize(
    "secret", ["Jürgen", 'O\'Neil "Joe"', "1 Main St\nBerlin", "C:\\Ada", "a\u00a0b", "Straße"]
)
def test_a_text_is_masked_as_errors_quote_it(secret: str) -> None:
    event = arrived(name=secret)
    texts = [secret, secret.upper(), f"for\n{secret}", f'"{secret}" is no name']
    said = [*texts, *map(repr, texts), *map(str, map(KeyError, texts)), str(texts)]
    said += [json.dumps(texts), json.dumps(texts, ensure_ascii=False)]
    for each in said:
        kept = masked(each, event)
        for part in (secret, "rgen", "Neil", "Main", "Ada", "xa0b", "00a0", "Stra"):
            assert part.lower() not in kept.lower()


async def test_only_what_is_readable_is_masked() -> None:
    event, guests = arrived(), vault()
    (sealed,) = await guests.seal_events([event])
    stored = GuestArrived.from_dict(sealed.to_dict())
    assert masked("nothing", arrived(name="")) == "nothing"
    assert masked("Ada Lovelace", stored) == "Ada Lovelace"
    await guests.open_events([stored])
    assert masked("Ada Lovelace", stored) == "[personal]"
    await guests.erase(event.aggregate_id)
    erased = GuestArrived.from_dict(sealed.to_dict())
    await guests.open_events([erased])
    assert masked("Ada Lovelace is [erased]", erased) == "Ada Lovelace is [erased]"
    assert masked("said of what cannot be read", None) == "said of what cannot be read"


async def test_it_is_never_written_before_it_is_sealed() -> None:
    event = arrived()
    with pytest.raises(SerializationError, match="PrivateEventStore"):
        await InMemoryEventStore().append_events(event.aggregate_id, "Guest", [event], 0)
    with pytest.raises(Exception, match="not encrypted") as error:
        event.to_dict()
    assert "Ada" not in str(error.value)


async def test_sealed_it_comes_back_as_it_was() -> None:
    safe, event = vault(), arrived(name="Ada \0 \ud800 ☃" * 100, host="Bob", host_id="b")
    assert await safe.seal_events([event]) == [event]
    text = event.model_dump_json()
    assert "Ada" not in text
    assert "Bob" not in text
    read = GuestArrived.model_validate_json(text)
    assert read == event
    with pytest.raises(PrivacyError, match="sealed"):
        assert read.name.value
    await safe.open_events([read])
    assert (read.name.value, read.host.value) == (event.name.value, "Bob")
    assert GuestArrived.from_dict(read.to_dict()) == event


async def test_the_same_text_is_never_sealed_the_same() -> None:
    safe, subject = vault(), uuid4()
    events = await safe.seal_events([arrived(aggregate_id=subject) for _ in range(2)])
    sealed = {event.to_dict()["name"]["sealed"] for event in events}
    (again,) = await safe.seal_events(events[:1])
    assert len(sealed | {again.to_dict()["name"]["sealed"]}) == 3


@pytest.mark.parametrize(
    "stored",
    ["Ada", 7, {}, {"subject": "a"}, {"subject": 1, "event_id": "", "field": "", "sealed": ""}],
)
def test_what_no_vault_has_made_is_not_read(stored: object) -> None:
    facts = {"aggregate_id": str(uuid4()), "aggregate_type": "Guest", "name": stored}
    with pytest.raises(ValidationError, match="name"):
        GuestArrived.model_validate_json(json.dumps(facts))


async def test_whose_it_is_must_be_said() -> None:
    class Misspelt(DomainEvent):
        aggregate_type: str = "Guest"
        name: Annotated[Personal, Subject("gest_id")]

    with pytest.raises(PrivacyError, match="gest_id"):
        await vault().seal_events([Misspelt(aggregate_id=uuid4(), name="Ada")])
    with pytest.raises(PrivacyError, match="host_id is None"):
        await vault().seal_events([arrived(host="Bob")])


@pytest.mark.parametrize("keys", [[], [b"short"], [bytes(32), b"short"]])
def test_a_master_key_has_32_bytes(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(InMemoryKeyRepository(), *keys)


def test_without_cryptography_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PrivacyNotAvailableError, match=r"eventsource-tutorial\[privacy\]") as error:
        vault()
    assert isinstance(error.value, EventSourceError)
