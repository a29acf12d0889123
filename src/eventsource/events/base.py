"""`DomainEvent`: a fact that happened to one aggregate."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID, uuid4

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

_log = logging.getLogger(__name__)


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:  # which pydantic would let through
        raise ValueError("in UTC this time is before the year 1 or after 9999") from error


class _InUtc:
    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        converted = core_schema.no_info_after_validator_function(_to_utc, handler(source))
        # Times in a log are in UTC already. To find that out in Python took a quarter of a load.
        ready = core_schema.datetime_schema(tz_constraint=0)
        stored = core_schema.union_schema(
            [(ready, "in UTC"), (converted, "elsewhere")], mode="left_to_right"
        )
        return core_schema.json_or_python_schema(stored, converted)


UtcDatetime = Annotated[AwareDatetime, _InUtc()]


class DomainEvent(BaseModel):
    """Subclass it with the fields of the fact and a default `aggregate_type`.

    Instances cannot be changed, compare by value, and refuse fields they do not know. `event_type`
    is the class's own name unless the class body sets another.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )

    suppress_event_type_warning: ClassVar[bool] = False

    event_id: UUID = Field(default_factory=uuid4)
    event_type: str = "DomainEvent"
    event_version: int = Field(default=1, ge=1)  #: version of the event's schema
    occurred_at: UtcDatetime = Field(default_factory=lambda: datetime.now(UTC))
    aggregate_id: UUID
    aggregate_type: str
    aggregate_version: int = Field(default=1, ge=1)  #: the aggregate's version after this event
    tenant_id: UUID | None = None
    actor_id: str | None = None
    correlation_id: UUID = Field(default_factory=uuid4)
    causation_id: UUID | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        explicit = cls.__dict__.get("event_type")
        if isinstance(explicit, FieldInfo):
            explicit = explicit.default
        if not isinstance(explicit, str) or not explicit:
            # Pydantic collects fields after this hook: an attribute set here is the field's
            # default for this class alone, and the parent keeps its own.
            cls.event_type = cls.__name__
        elif explicit != cls.__name__ and not cls.suppress_event_type_warning:
            _log.warning(
                "Event class %s has the event type '%s'. If that is meant, set "
                "suppress_event_type_warning = True in the class.",
                cls.__name__,
                explicit,
            )

    @field_validator("event_type")
    @classmethod
    def _name_if_empty(cls, value: str) -> str:
        return value or str(cls.model_fields["event_type"].default)

    def with_causation(self, event: "DomainEvent") -> Self:
        """A copy that names `event` as its cause and shares its correlation id."""
        return self.model_copy(
            update={"causation_id": event.event_id, "correlation_id": event.correlation_id}
        )

    def with_metadata(self, **metadata: Any) -> Self:
        """A copy with these entries added; new values win."""
        return self.model_copy(update={"metadata": {**self.metadata, **metadata}})

    def with_aggregate_version(self, version: int) -> Self:
        """A copy that carries this version of the aggregate."""
        if version < 1:
            raise ValueError(f"aggregate_version starts at 1, not {version}")
        return self.model_copy(update={"aggregate_version": version})

    def is_caused_by(self, event: "DomainEvent") -> bool:
        return self.causation_id == event.event_id

    def is_correlated_with(self, event: "DomainEvent") -> bool:
        return self.correlation_id == event.correlation_id

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""
        return self.model_dump(mode="json", round_trip=True)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The event that `to_dict` described. Pydantic's ValidationError if it does not fit."""
        return cls.model_validate(dict(data))

    def __str__(self) -> str:
        return (
            f"{self.event_type} {self.event_id} "
            f"(aggregate {self.aggregate_id}, version {self.aggregate_version})"
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(event_id={self.event_id}, aggregate_id={self.aggregate_id}, "
            f"aggregate_version={self.aggregate_version})"
        )

    __hash__ = None  # type: ignore[assignment]  # metadata is a dict: a frozen model is not enough
