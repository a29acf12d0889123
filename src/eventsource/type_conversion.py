"""What to do with text in data that no annotation describes, such as `metadata`.

JSON has no UUID and no time. Where a field has a type, pydantic restores the value; inside a free
dictionary only the key's name is left to go by.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, Self, cast
from uuid import UUID

DEFAULT_UUID_FIELDS = frozenset(
    {
        "event_id",
        "aggregate_id",
        "tenant_id",
        "correlation_id",
        "causation_id",
        "template_id",
        "issuance_id",
        "user_id",
    }
)
DEFAULT_STRING_ID_FIELDS = frozenset(
    {
        "actor_id",
        "issuer_id",
        "recipient_id",
        "invited_by",
        "assigned_by",
        "revoked_by",
        "deactivated_by",
        "reactivated_by",
        "removed_by",
    }
)


class TypeConverter(Protocol):
    """Turns text inside free-form data into richer values, by the names of the keys."""

    def convert_types(self, data: dict[str, Any]) -> dict[str, Any]: ...

    def is_uuid_field(self, name: str) -> bool: ...

    def is_datetime_field(self, name: str) -> bool: ...


class DefaultTypeConverter:
    """UUIDs by name, times by the ending `_at`; text that does not parse stays text.

    `uuid_fields` are UUIDs, else `string_id_fields` are not, else, with `auto_detect_uuid`, every
    name that ends in `_id` is. `use_defaults` adds the two sets of well-known names above.
    """

    def __init__(
        self,
        *,
        uuid_fields: Iterable[str] | None = None,
        string_id_fields: Iterable[str] | None = None,
        auto_detect_uuid: bool = True,
        use_defaults: bool = True,
    ) -> None:
        explicit, excluded = frozenset(uuid_fields or ()), frozenset(string_id_fields or ())
        if use_defaults:
            # What the caller names wins over our lists.
            explicit, excluded = (
                explicit | (DEFAULT_UUID_FIELDS - excluded),
                excluded | (DEFAULT_STRING_ID_FIELDS - explicit),
            )
        self._uuid_fields, self._string_id_fields = explicit, excluded
        self._auto_detect_uuid = auto_detect_uuid

    @classmethod
    def strict(cls, uuid_fields: Iterable[str]) -> Self:
        """Only these names are UUIDs."""
        return cls(uuid_fields=uuid_fields, auto_detect_uuid=False, use_defaults=False)

    def is_uuid_field(self, name: str) -> bool:
        if name in self._uuid_fields:
            return True
        if name in self._string_id_fields:
            return False
        return self._auto_detect_uuid and name.endswith("_id")

    def is_datetime_field(self, name: str) -> bool:
        return name.endswith("_at")

    def convert_types(self, data: dict[str, Any]) -> dict[str, Any]:
        """A copy with the values below recognised names converted, at every depth."""
        return {key: self._convert(key, value) for key, value in data.items()}

    def _convert(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return self.convert_types(cast("dict[str, Any]", value))
        if isinstance(value, list):
            return [self._convert(name, item) for item in value]
        if not isinstance(value, str):
            return value
        try:
            if self.is_uuid_field(name):
                return UUID(value)
            if self.is_datetime_field(name):
                return datetime.fromisoformat(value)
        except ValueError:
            pass
        return value
