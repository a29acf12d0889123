"""For your tests: given-when-then, waiting for effects, and what every backend must do.

The suites for own backends are in `eventsource.testing.contracts`, which needs pytest.
"""

from eventsource.testing.eventually import eventually
from eventsource.testing.scenario import given

__all__ = ["eventually", "given"]
