"""Bookkeeping beside the event log: checkpoints, dead letters, inbox, outbox and time-outs.

Each is a port with three backends: in memory, SQLite and PostgreSQL.
"""
