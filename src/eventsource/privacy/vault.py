"""Keys of persons, and what they open."""

import secrets
from base64 import b64decode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.exceptions import DecryptionError, SubjectErasedError
from eventsource.privacy.encryption import Cipher
from eventsource.privacy.personal import (
    Personal,
    Sealed,
    check_place,
    is_to_keep,
    personal_fields,
    seal,
    sealed_in,
    with_values,
)
from eventsource.repositories.keys import KeyRepository, PersonalKey


class Vault:
    """Seals and opens personal data with a key for each subject.

    `master_keys`, of 32 bytes each, encrypt those keys in their repository: the first one new
    keys, all of them old ones. Keep them out of the database, in what holds your other secrets.
    No key is remembered, so what is erased is erased in every process.
    """

    def __init__(self, keys: KeyRepository, *master_keys: bytes) -> None:
        if not master_keys or any(len(key) != 32 for key in master_keys):
            raise ValueError("A master key has 32 bytes: Vault.new_master_key() makes one.")
        self._keys = keys
        self._masters = {sha256(key).hexdigest()[:16]: Cipher(key) for key in master_keys}
        self._master_id = next(iter(self._masters))

    @staticmethod
    def new_master_key() -> bytes:
        return secrets.token_bytes(32)

    async def erase(self, subject: object) -> None:
        """Destroy the key of a subject, such as a customer's id. Nothing brings it back, except a
        backup of the keys: erase again after you restore one."""
        await self._keys.erase_key(str(subject))

    async def rotate(self) -> int:
        """Encrypt every key anew with the first master key; how many were not. When it is through
        in all processes, the other master keys are not needed any more."""
        subjects = await self._keys.get_subjects(except_master_key_id=self._master_id)
        done = 0
        for subject in subjects:
            key = (await self._keys.get_keys([subject]))[subject]
            if key.wrapped_key is not None and key.master_key_id != self._master_id:
                wrapped = self._wrap(subject, self._unwrap(key))
                done += await self._keys.replace_key(key, wrapped)
        return done

    async def seal_events(
        self, events: Sequence[DomainEvent], *, transaction: Any = None
    ) -> list[DomainEvent]:
        """The events to store. SubjectErasedError for data of somebody who was erased."""
        fields = [(event, *each) for event in events for each in personal_fields(event)]
        ciphers = await self._ciphers(
            {place.subject for _, place, data in fields if not is_to_keep(data, place)},
            transaction,
        )
        changes: dict[UUID, dict[str, Personal]] = {}
        for event, place, data in fields:
            if not is_to_keep(data, place):
                sealed = seal(data, place, ciphers[place.subject])
                if sealed is not data:
                    changes.setdefault(event.event_id, {})[place.field] = sealed
        return [
            event.model_copy(update=changes[event.event_id]) if event.event_id in changes else event
            for event in events
        ]

    async def open_events(self, events: Iterable[DomainEvent]) -> None:
        """Make the values of personal data readable, in these very events.

        DecryptionError for data that was changed or moved, or whose key is missing or wrong.
        """
        pending: list[tuple[Sealed, Personal]] = []
        for event in events:
            for place, data in personal_fields(event):
                if data._sealed is not None:
                    check_place(data._sealed, place, event)
                    pending.append((data._sealed, data))
        texts = await self._open([sealed for sealed, _ in pending])
        for (_, data), text in zip(pending, texts, strict=True):
            data._become(text)

    async def _open(self, sealed: Sequence[Sealed]) -> list[str | None]:
        if not sealed:
            return []
        keys = await self._keys.get_keys({each.subject for each in sealed})
        ciphers = {
            subject: None if key.wrapped_key is None else Cipher(self._unwrap(key))
            for subject, key in keys.items()
        }
        return [_open(each, ciphers) for each in sealed]

    async def open_state(self, state: Any) -> Any:
        """A copy of a snapshot's JSON from which a state with readable values is restored."""
        found = list(sealed_in(state))
        texts = await self._open([Sealed(**each) for each in found])
        opened = {each["sealed"]: text for each, text in zip(found, texts, strict=True)}
        return with_values(state, opened)

    async def _ciphers(self, subjects: set[str], transaction: Any) -> dict[str, Cipher]:
        """Of every subject, made now for those that have none."""
        if not subjects:
            return {}
        keys = await self._keys.get_keys(subjects, transaction=transaction)
        if new := sorted(subjects - keys.keys()):
            for subject in new:
                key = self._wrap(subject, secrets.token_bytes(32))
                await self._keys.add_key(key, transaction=transaction)
            # Of several who make the first key of a subject, one has made it.
            keys |= await self._keys.get_keys(new, transaction=transaction)
        for subject, key in keys.items():
            if key.wrapped_key is None:
                raise SubjectErasedError(subject)
        return {subject: Cipher(self._unwrap(key)) for subject, key in keys.items()}

    def _wrap(self, subject: str, key: bytes) -> PersonalKey:
        wrapped = self._masters[self._master_id].encrypt(key, subject.encode())
        return PersonalKey(subject, wrapped, self._master_id)

    def _unwrap(self, key: PersonalKey) -> bytes:
        master = self._masters.get(key.master_key_id or "")
        if master is None:
            reason = f"it is encrypted with master key {key.master_key_id}, which this Vault lacks"
            raise DecryptionError(key.subject, "the key table", reason)
        return master.decrypt(
            key.wrapped_key or b"", key.subject.encode(), key.subject, "the key table"
        )


def _open(sealed: Sealed, ciphers: dict[str, Cipher | None]) -> str | None:
    """None if the key was destroyed."""
    if sealed.subject not in ciphers:
        raise DecryptionError(sealed.subject, sealed.place, "the key repository has no key")
    cipher = ciphers[sealed.subject]
    if cipher is None:
        return None
    try:
        encrypted = b64decode(sealed.sealed, validate=True)
    except ValueError:
        encrypted = b""
    text = cipher.decrypt(encrypted, sealed.bound_to, sealed.subject, sealed.place)
    return text.decode("utf-8", "surrogatepass")
