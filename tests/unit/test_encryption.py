"""AES-GCM as the vault uses it: one nonce for one message, and nothing readable by accident."""

import pytest

from eventsource.exceptions import DecryptionError
from eventsource.privacy.encryption import _NONCE_BYTES, Cipher

KEY, PLAIN = bytes(range(32)), b"Ada Lovelace"


def test_no_nonce_comes_twice() -> None:
    """Two messages under one nonce would tell their difference, and let others be forged."""
    times = 10_000
    cipher = Cipher(KEY)
    sealed = {cipher.encrypt(PLAIN, b"") for _ in range(times)}
    assert len({one[:_NONCE_BYTES] for one in sealed}) == times
    assert len({one[_NONCE_BYTES:] for one in sealed}) == times
    assert all(cipher.decrypt(one, b"", "ada", "here") == PLAIN for one in list(sealed)[:10])


def test_two_ciphers_of_one_key_share_no_sequence() -> None:
    assert Cipher(KEY).encrypt(PLAIN, b"") != Cipher(KEY).encrypt(PLAIN, b"")


@pytest.mark.parametrize("place", range(0, _NONCE_BYTES + len(PLAIN) + 16, 5))
def test_a_changed_bit_is_an_error_and_no_other_text(place: int) -> None:
    sealed = bytearray(Cipher(KEY).encrypt(PLAIN, b"here"))
    sealed[place] ^= 1
    with pytest.raises(DecryptionError) as error:
        Cipher(KEY).decrypt(bytes(sealed), b"here", "ada", "event 1")
    assert PLAIN.decode() not in str(error.value)


@pytest.mark.parametrize("length", [0, 1, _NONCE_BYTES, _NONCE_BYTES + 15])
def test_what_is_too_short_is_an_error(length: int) -> None:
    with pytest.raises(DecryptionError):
        Cipher(KEY).decrypt(bytes(length), b"here", "ada", "event 1")


def test_a_cipher_does_not_show_its_key() -> None:
    assert repr(KEY)[2:-1] not in repr(Cipher(KEY))
    assert KEY.hex() not in repr(vars(Cipher(KEY)))
