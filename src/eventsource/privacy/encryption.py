"""AES-GCM, from the cryptography package, which is imported when it is needed."""

import secrets
from typing import Any

from eventsource.exceptions import DecryptionError, PrivacyNotAvailableError

_NONCE_BYTES = 12


class Cipher:
    """Encrypts with one key, each time with a fresh nonce."""

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise PrivacyNotAvailableError() from error
        self._aes: Any = AESGCM(key)

    def encrypt(self, plain: bytes, bound_to: bytes) -> bytes:
        """Nonce and ciphertext; only who knows what it is bound to can decrypt it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        encrypted: bytes = self._aes.encrypt(nonce, plain, bound_to)
        return nonce + encrypted

    def decrypt(self, encrypted: bytes, bound_to: bytes, subject: str, place: str) -> bytes:
        """DecryptionError, about this subject and place, for anything that was not encrypted with
        this key and bound to this."""
        from cryptography.exceptions import InvalidTag

        try:
            plain: bytes = self._aes.decrypt(
                encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], bound_to
            )
        except (InvalidTag, ValueError) as error:
            reason = "the key is another one, or the data was changed"
            raise DecryptionError(subject, place, reason) from error
        return plain
