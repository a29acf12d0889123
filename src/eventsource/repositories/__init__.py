"""Bookkeeping beside the event log: checkpoints, dead letters, inbox, outbox and time-outs.

Each is one class, with a subclass for each of three backends: in memory, SQLite and PostgreSQL.
"""
