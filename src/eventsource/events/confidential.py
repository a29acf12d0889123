"""Texts that must not say what an event's confidential fields hold."""

import json
import re
from traceback import format_exception
from typing import Final

MASK: Final = "[personal]"

# A secret is a whole word; what precedes it may be the end of a line, as `repr` writes that.
_BEFORE: Final = r"(?:(?<!\w)|(?<=\\[nrt]))"


class Confidential:
    """The type of a field whose text is to be in no message."""

    __slots__ = ()

    @property
    def secret(self) -> str:
        """The text; empty if there is none to keep."""
        raise NotImplementedError


def masked(text: str, event: object) -> str:
    """The text with a mask for what confidential fields of the event hold, in whatever case, and
    quoted as `repr` or JSON do.

    An error repeats the data that its handler had in hand: a database names the value that is there
    already. What a handler has changed, such as a part of a name, is not found.
    """
    fields = getattr(event, "__dict__", {}).values()
    secrets = {field.secret for field in fields if isinstance(field, Confidential)} - {""}
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):  # one may be a part of another
        text = re.sub(rf"{_BEFORE}{re.escape(form)}(?!\w)", MASK, text, flags=re.IGNORECASE)
    return text


def _forms(secret: str) -> set[str]:
    cases = {secret, secret.upper(), secret.lower()}  # which may differ in more than case: ß and SS
    forms = set(cases)
    for each in cases:
        forms |= {json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1]}
        # An apostrophe is escaped if there are quotation marks as well, perhaps around the secret.
        forms |= {repr(each)[1:-1], repr(f"{each}'\"")[1:-4]}
    return forms


def without_secrets(error: BaseException, event: object) -> BaseException | None:
    """The error, for a log that shows its traceback; None if that says what it must not."""
    trace = "".join(format_exception(error))
    return error if masked(trace, event) == trace else None
