"""Personal data that can be erased from a log that never changes: crypto-shredding.

Each person has a key; what events say about the person is stored encrypted with it. Destroy the
key, and no copy of the log can be read any more in this respect: tables, outbox, snapshots, dead
letters, brokers, backups. Described by Mathias Verraes, "Forgettable payloads" and
"Crypto-shredding" (https://verraes.net/2019/05/eventsourcing-patterns-throw-away-the-key/).
"""

from eventsource.privacy.personal import ERASED, Personal, Subject
from eventsource.privacy.stores import PrivateEventStore, PrivateSnapshotStore
from eventsource.privacy.vault import Vault

__all__ = ["ERASED", "Personal", "PrivateEventStore", "PrivateSnapshotStore", "Subject", "Vault"]
