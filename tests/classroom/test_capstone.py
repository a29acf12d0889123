"""The capstone's acceptance test goes over whatever broker there is, and says which."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import eventsource
from tutorial_support.database import open_database
from tutorial_support.exercises import judge
from tutorial_support.exercises.nb21 import capstone, parts, visitor
from tutorial_support.services import KINDS, is_available
from tutorial_support.show import tables

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
    monkeypatch.setattr(tables, "_show", lambda rows, *_: shown.update(seen_in(rows)))

    async with await open_database("capstone", url=database_url) as db:
        verdict = await judge(capstone.CAPSTONE, learner_says(capstone.PROCESS), db)

    assert verdict.passed, verdict.text
    assert shown["7, 15, 17-19"].endswith(f"over {OVER[kind]}")


def seen_in(rows: list[dict[str, str]]) -> dict[str, str]:
    return {row["tutorial"]: row["seen"] for row in rows}


ANSWERS = [(source, 0) for source in capstone.CAPSTONE.solutions]
ANSWERS += [(wrong.source, wrong.hint) for wrong in capstone.CAPSTONE.wrong]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("source", "hint"), ANSWERS)
async def test_no_verdict_waits_until_patience_runs_out(
    source: str, hint: int, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "is_available", lambda kind: kind == "redis" and is_available(kind))
    monkeypatch.setattr(visitor, "WAIT_SECONDS", 1000.0)
    monkeypatch.setattr(tables, "_show", lambda *_: None)

    async with await open_database("capstone", url=database_url) as db:
        verdict = await judge(capstone.CAPSTONE, learner_says(source), db)

    assert verdict.hint == hint, verdict.text


async def test_a_shop_that_hangs_is_given_up_with_the_attack_that_it_hangs_at(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "is_available", lambda kind: False)
    monkeypatch.setattr(capstone, "ATTACK_SECONDS", 0.2)
    shown: dict[str, str] = {}
    monkeypatch.setattr(tables, "_show", lambda rows, *_: shown.update(seen_in(rows)))

    class Shop:
        def __init__(self, parts: Any) -> None:
            self.parts = parts

        async def setup(self) -> None:
            await asyncio.Event().wait()

    async with await open_database("capstone", url=database_url) as db:
        verdict = await judge(capstone.CAPSTONE, Shop, db)

    assert "rivals for the last pieces: no end within 0.2 s" in verdict.text
    assert shown["3, 5, 11"] == "no end within 0.2 s"


def test_every_tutorial_is_in_the_acceptance_test() -> None:
    told = ", ".join(numbers for numbers, _, _ in capstone.ATTACKS).replace("17-19", "17, 18, 19")
    assert {int(each) for each in told.split(", ")} == set(range(1, 22))
