"""What the library costs, measured against raw asyncpg and against peers in the same run."""
