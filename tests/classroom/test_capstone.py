"""The capstone's acceptance test goes over whatever broker there is, and says which."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import eventsource
from tutorial_support.database import open_database
from tutorial_support.exercises import judge
from tutorial_support.exercises.nb21 import capstone, parts
from tutorial_support.services import KINDS, is_available

OVER = {"redis": "Redis", "kafka": "Kafka", "rabbitmq": "RabbitMQ", "": "memory"}


def learner_says(source: str) -> Any:
    """The class Shop of an answer; the names are those of the notebook."""
    names = {**vars(eventsource), "asyncio": asyncio, "Decimal": Decimal, "timedelta": timedelta}
    names["__name__"] = __name__
    exec(source, names)
    return names["Shop"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", OVER, ids=OVER.values())
async def test_a_shop_is_accepted_over_every_broker_and_without_one(
    kind: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind and not is_available(kind):
        pytest.skip(KINDS[kind].nothing_found())
    monkeypatch.setattr(parts, "is_available", lambda each: each == kind)
    shown: dict[str, str] = {}
    monkeypatch.setattr(capstone, "table", lambda rows, caption: shown.update(seen_in(rows)))

    async with await open_database("capstone", url=database_url) as db:
        verdict = await judge(capstone.CAPSTONE, learner_says(capstone.PROCESS), db)

    assert verdict.passed, verdict.text
    assert shown["7, 15, 17-19"].endswith(f"over {OVER[kind]}")


def seen_in(rows: list[dict[str, str]]) -> dict[str, str]:
    return {row["tutorial"]: row["seen"] for row in rows}


def test_every_tutorial_is_in_the_acceptance_test() -> None:
    told = ", ".join(numbers for numbers, _, _ in capstone.ATTACKS).replace("17-19", "17, 18, 19")
    assert {int(each) for each in told.split(", ")} == set(range(1, 22))
