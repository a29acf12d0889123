"""Subscribers that follow the log: catch up, then live, paused, stopped, led by one process."""

from eventsource.retries import RetryPolicy
from eventsource.subscriptions.config import SubscriptionConfig
from eventsource.subscriptions.health import (
    ManagerHealth,
    ReadinessStatus,
    ShutdownPhase,
    ShutdownResult,
    SubscriptionHealth,
)
from eventsource.subscriptions.leader import PostgreSQLLeader
from eventsource.subscriptions.manager import SubscriptionManager
from eventsource.subscriptions.subscription import Subscription, SubscriptionState

__all__ = [
    "ManagerHealth",
    "PostgreSQLLeader",
    "ReadinessStatus",
    "RetryPolicy",
    "ShutdownPhase",
    "ShutdownResult",
    "Subscription",
    "SubscriptionConfig",
    "SubscriptionHealth",
    "SubscriptionManager",
    "SubscriptionState",
]
