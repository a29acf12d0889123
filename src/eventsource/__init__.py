"""Event sourcing on asyncio: events, aggregates and event stores."""
