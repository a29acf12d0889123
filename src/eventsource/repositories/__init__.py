"""Bookkeeping beside the event log: checkpoints, dead letters, inbox and outbox.

Each is a port with three backends: in memory, SQLite and PostgreSQL.
"""
