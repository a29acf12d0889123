"""Texts that must not say what an event's confidential fields hold."""

import re
from typing import Final

MASK: Final = "[personal]"


class Confidential:
    """The type of a field whose text is to be in no message."""

    __slots__ = ()

    @property
    def secret(self) -> str:
        """The text; empty if there is none to keep."""
        raise NotImplementedError


def masked(text: str, event: object) -> str:
    """The text with a mask for what confidential fields of the event hold, in whatever case.

    An error repeats the data that its handler had in hand: a database names the value that is there
    already. What a handler has changed, such as a part of a name, is not found.
    """
    fields = getattr(event, "__dict__", {}).values()
    secrets = {field.secret for field in fields if isinstance(field, Confidential)} - {""}
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text, flags=re.IGNORECASE)
    return text
