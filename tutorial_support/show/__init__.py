"""What a reader sees: tables, streams, charts and timelines that look the same on every run."""

from tutorial_support.show.causes import causes
from tutorial_support.show.figures import figure
from tutorial_support.show.monitors import monitor
from tutorial_support.show.states import strip, time_travel
from tutorial_support.show.tables import live_table, sql, stream, table
from tutorial_support.show.timelines import timeline
from tutorial_support.show.waterfalls import SpanRecord, waterfall

__all__ = [
    "SpanRecord",
    "causes",
    "figure",
    "live_table",
    "monitor",
    "sql",
    "stream",
    "strip",
    "table",
    "time_travel",
    "timeline",
    "waterfall",
]
