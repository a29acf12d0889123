"""The names of the front door and their homes: for type checkers, and for `__init__.py` to read."""

from eventsource.aggregates.base import (
    AggregateRoot as AggregateRoot,
)
from eventsource.aggregates.decider import (
    Decider as Decider,
)
from eventsource.aggregates.declarative import (
    DeclarativeAggregate as DeclarativeAggregate,
)
from eventsource.aggregates.repository import (
    AggregateRepository as AggregateRepository,
)
from eventsource.boundary import (
    ConsistencyBoundary as ConsistencyBoundary,
    TaggedEvents as TaggedEvents,
)
from eventsource.bus.interface import (
    EventBus as EventBus,
)
from eventsource.bus.kafka import (
    KafkaEventBus as KafkaEventBus,
    KafkaEventBusConfig as KafkaEventBusConfig,
)
from eventsource.bus.memory import (
    InMemoryEventBus as InMemoryEventBus,
)
from eventsource.bus.message import (
    DeadLetter as DeadLetter,
)
from eventsource.bus.rabbitmq import (
    RabbitMQEventBus as RabbitMQEventBus,
    RabbitMQEventBusConfig as RabbitMQEventBusConfig,
)
from eventsource.bus.redis import (
    RedisEventBus as RedisEventBus,
    RedisEventBusConfig as RedisEventBusConfig,
)
from eventsource.events.base import (
    DomainEvent as DomainEvent,
)
from eventsource.events.ids import (
    uuid7 as uuid7,
)
from eventsource.events.registry import (
    EventRegistry as EventRegistry,
    default_registry as default_registry,
    get_event_class as get_event_class,
    get_event_class_or_none as get_event_class_or_none,
    is_event_registered as is_event_registered,
    list_registered_events as list_registered_events,
    register_event as register_event,
)
from eventsource.events.timeouts import (
    ProcessTimedOut as ProcessTimedOut,
)
from eventsource.events.upcasting import (
    register_upcaster as register_upcaster,
)
from eventsource.exceptions import (
    AggregateMismatchError as AggregateMismatchError,
    AggregateNotFoundError as AggregateNotFoundError,
    BrokerNotAvailableError as BrokerNotAvailableError,
    DatabaseError as DatabaseError,
    DecryptionError as DecryptionError,
    DuplicateEventError as DuplicateEventError,
    DuplicateEventTypeError as DuplicateEventTypeError,
    DuplicateHandlerError as DuplicateHandlerError,
    DuplicateUpcasterError as DuplicateUpcasterError,
    EventBusConnectionError as EventBusConnectionError,
    EventBusError as EventBusError,
    EventDeliveryError as EventDeliveryError,
    EventPublishError as EventPublishError,
    EventSourceError as EventSourceError,
    EventStoreConnectionError as EventStoreConnectionError,
    EventStoreError as EventStoreError,
    EventTypeNotFoundError as EventTypeNotFoundError,
    EventVersionError as EventVersionError,
    HandlerSignatureError as HandlerSignatureError,
    OptimisticLockError as OptimisticLockError,
    PositionNotFoundError as PositionNotFoundError,
    PrivacyError as PrivacyError,
    PrivacyNotAvailableError as PrivacyNotAvailableError,
    ProjectionError as ProjectionError,
    ProjectionLagError as ProjectionLagError,
    SchemaError as SchemaError,
    SerializationError as SerializationError,
    SnapshotDeserializationError as SnapshotDeserializationError,
    SnapshotError as SnapshotError,
    SQLiteNotAvailableError as SQLiteNotAvailableError,
    StreamClosedError as StreamClosedError,
    SubjectErasedError as SubjectErasedError,
    SubscriptionAlreadyExistsError as SubscriptionAlreadyExistsError,
    SubscriptionConfigError as SubscriptionConfigError,
    SubscriptionError as SubscriptionError,
    SubscriptionStateError as SubscriptionStateError,
    TagConflictError as TagConflictError,
    TenantContextNotSetError as TenantContextNotSetError,
    TenantMismatchError as TenantMismatchError,
    UnhandledEventError as UnhandledEventError,
    UnreadableEventError as UnreadableEventError,
)
from eventsource.handlers import (
    handles as handles,
)
from eventsource.monitoring import (
    Monitor as Monitor,
)
from eventsource.multitenancy import (
    TenantAwareRepository as TenantAwareRepository,
    TenantDomainEvent as TenantDomainEvent,
    clear_tenant_context as clear_tenant_context,
    get_current_tenant as get_current_tenant,
    get_required_tenant as get_required_tenant,
    set_current_tenant as set_current_tenant,
    tenant_engine as tenant_engine,
    tenant_scope as tenant_scope,
    tenant_scope_sync as tenant_scope_sync,
)
from eventsource.notifications import (
    Doorbell as Doorbell,
)
from eventsource.outbox import (
    OutboxPublisher as OutboxPublisher,
)
from eventsource.privacy.personal import (
    ERASED as ERASED,
    Personal as Personal,
    Subject as Subject,
)
from eventsource.privacy.stores import (
    PrivateEventStore as PrivateEventStore,
    PrivateSnapshotStore as PrivateSnapshotStore,
)
from eventsource.privacy.vault import (
    Vault as Vault,
)
from eventsource.process import (
    Process as Process,
    ProcessManager as ProcessManager,
    ProcessState as ProcessState,
)
from eventsource.projections.base import (
    CheckpointTrackingProjection as CheckpointTrackingProjection,
)
from eventsource.projections.database import (
    DatabaseProjection as DatabaseProjection,
)
from eventsource.projections.declarative import (
    DeclarativeProjection as DeclarativeProjection,
)
from eventsource.projections.inline import (
    InlineEventStore as InlineEventStore,
)
from eventsource.projections.rebuild import (
    rebuild_blue_green as rebuild_blue_green,
    rebuild_in_place as rebuild_in_place,
)
from eventsource.repositories.checkpoint import (
    CheckpointData as CheckpointData,
    CheckpointRepository as CheckpointRepository,
    InMemoryCheckpointRepository as InMemoryCheckpointRepository,
    PostgreSQLCheckpointRepository as PostgreSQLCheckpointRepository,
    SQLiteCheckpointRepository as SQLiteCheckpointRepository,
)
from eventsource.repositories.dlq import (
    DLQEntry as DLQEntry,
    DLQRepository as DLQRepository,
    DLQStats as DLQStats,
    InMemoryDLQRepository as InMemoryDLQRepository,
    PostgreSQLDLQRepository as PostgreSQLDLQRepository,
    ProjectionFailureCount as ProjectionFailureCount,
    SQLiteDLQRepository as SQLiteDLQRepository,
)
from eventsource.repositories.inbox import (
    InboxRepository as InboxRepository,
    InMemoryInboxRepository as InMemoryInboxRepository,
    PostgreSQLInboxRepository as PostgreSQLInboxRepository,
    SQLiteInboxRepository as SQLiteInboxRepository,
)
from eventsource.repositories.keys import (
    InMemoryKeyRepository as InMemoryKeyRepository,
    KeyRepository as KeyRepository,
    PostgreSQLKeyRepository as PostgreSQLKeyRepository,
    SQLiteKeyRepository as SQLiteKeyRepository,
)
from eventsource.repositories.outbox import (
    InMemoryOutboxRepository as InMemoryOutboxRepository,
    OutboxEntry as OutboxEntry,
    OutboxRepository as OutboxRepository,
    OutboxStats as OutboxStats,
    PostgreSQLOutboxRepository as PostgreSQLOutboxRepository,
    SQLiteOutboxRepository as SQLiteOutboxRepository,
)
from eventsource.repositories.timeouts import (
    InMemoryTimeoutRepository as InMemoryTimeoutRepository,
    PostgreSQLTimeoutRepository as PostgreSQLTimeoutRepository,
    SQLiteTimeoutRepository as SQLiteTimeoutRepository,
    TimeoutRepository as TimeoutRepository,
)
from eventsource.retries import (
    RetryPolicy as RetryPolicy,
)
from eventsource.snapshots.in_memory import (
    InMemorySnapshotStore as InMemorySnapshotStore,
)
from eventsource.snapshots.interface import (
    Snapshot as Snapshot,
    SnapshotStore as SnapshotStore,
)
from eventsource.snapshots.postgresql import (
    PostgreSQLSnapshotStore as PostgreSQLSnapshotStore,
)
from eventsource.snapshots.sqlite import (
    SQLiteSnapshotStore as SQLiteSnapshotStore,
)
from eventsource.sqlite_database import (
    SQLITE_AVAILABLE as SQLITE_AVAILABLE,
    SQLiteDatabase as SQLiteDatabase,
)
from eventsource.stores.in_memory import (
    InMemoryEventStore as InMemoryEventStore,
)
from eventsource.stores.interface import (
    AppendResult as AppendResult,
    EventPublisher as EventPublisher,
    EventStore as EventStore,
    EventStream as EventStream,
    ExpectedVersion as ExpectedVersion,
    ReadDirection as ReadDirection,
    ReadOptions as ReadOptions,
    StoredEvent as StoredEvent,
)
from eventsource.stores.postgresql import (
    PostgreSQLEventStore as PostgreSQLEventStore,
)
from eventsource.stores.sqlite import (
    SQLiteEventStore as SQLiteEventStore,
)
from eventsource.subscriptions.config import (
    SubscriptionConfig as SubscriptionConfig,
)
from eventsource.subscriptions.leader import (
    PostgreSQLLeader as PostgreSQLLeader,
)
from eventsource.subscriptions.manager import (
    SubscriptionManager as SubscriptionManager,
)
from eventsource.subscriptions.subscription import (
    Subscription as Subscription,
    SubscriptionState as SubscriptionState,
)
from eventsource.type_conversion import (
    DefaultTypeConverter as DefaultTypeConverter,
    TypeConverter as TypeConverter,
)
from eventsource.types import (
    Position as Position,
)

__version__: str
