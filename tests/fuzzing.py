"""How hard the fuzz tests try, and what hostile text is."""

import os

from hypothesis import HealthCheck, settings

# EVENTSOURCE_FUZZ sets how many examples each test tries, for a long run.
EXAMPLES = os.environ.get("EVENTSOURCE_FUZZ")
fuzz = settings(
    max_examples=int(EXAMPLES or 15),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HOSTILE = ["", "'; DROP TABLE event_inbox; --", '"$1 {ids} %s :x \\', "\0", "\ud800", "\U0001f600"]
