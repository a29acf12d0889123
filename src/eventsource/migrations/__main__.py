"""Join the templates anew: `python -m eventsource.migrations`."""

from eventsource.migrations import write_joined_schemas

write_joined_schemas()
