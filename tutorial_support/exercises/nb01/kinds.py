"""Exercise 1.2: events, commands, and CRUD in disguise."""

from collections.abc import Mapping

from tutorial_support.exercises.model import Exercise, NotYet, Wrong

EVENT, COMMAND, CRUD = "event", "command", "CRUD"
KINDS_OF = {
    "OrderPlaced": EVENT,
    "CancelOrder": COMMAND,
    "CustomerUpdated": CRUD,
    "PaymentReceived": EVENT,
    "StockQuantitySet": CRUD,
    "SendReminder": COMMAND,
    "ParcelReturned": EVENT,
    "ProductDeleted": CRUD,
    "ProductDiscontinued": EVENT,
}
HINTS = {COMMAND: 1, CRUD: 2, EVENT: 3}


async def _check_kinds(kinds_of: Mapping[str, str]) -> None:
    if missing := [name for name in KINDS_OF if name not in kinds_of]:
        raise NotYet(seen=f"no answer for {missing[0]}", expected="one for every name", hint=1)
    for name, kind in KINDS_OF.items():
        answer = str(getattr(kinds_of[name], "value", kinds_of[name])).strip()
        if answer.lower() not in {EVENT, COMMAND, CRUD.lower()}:
            raise NotYet(
                seen=f"{answer!r} for {name}",
                expected=f"{EVENT!r}, {COMMAND!r} or {CRUD!r}",
                hint=HINTS[kind],
            )
        if answer.lower() != kind.lower():
            raise NotYet(seen=f"{answer!r} for {name}", expected="another kind", hint=HINTS[kind])


def _answer(*, but: Mapping[str, str] | None = None) -> str:
    kinds = {**KINDS_OF, **(but or {})}
    lines = "".join(f'    "{name}": "{kind}",\n' for name, kind in kinds.items())
    return f"kinds_of = {{\n{lines}}}"


KINDS = Exercise(
    id="1.2",
    title="Find the impostors",
    task="""
A colleague proposes these names for the shop's events. Say what each of them is: `"event"`,
`"command"` or `"CRUD"`. The first one is done.
""",
    answer="kinds_of",
    stub=_answer(but={name: "?" for name in KINDS_OF if name != "OrderPlaced"}),
    hints=(
        """
Is it an order to do something? Then it may be refused, or fail, and nothing has happened yet.
""",
        """
Past tense is not enough. Would the shopkeeper say it, or the database administrator? If the name
tells only *that* a row or a value changed, the reason is lost: CRUD.
""",
        """
It happened, nobody can refuse it any more, and the name says what it meant for the business: then
it is an event, also when the news is bad.
""",
    ),
    solutions=(
        _answer(),
        """
events = ["OrderPlaced", "PaymentReceived", "ParcelReturned", "ProductDiscontinued"]
kinds_of = {name: "event" for name in events}
kinds_of |= dict.fromkeys(["CancelOrder", "SendReminder"], "command")
kinds_of |= dict.fromkeys(["CustomerUpdated", "StockQuantitySet", "ProductDeleted"], "crud")
""",
        """
from enum import Enum

Kind = Enum("Kind", {"E": "event", "C": "command", "X": "CRUD"})
answers = {"OrderPlaced": "E", "CancelOrder": "C", "CustomerUpdated": "X", "PaymentReceived": "E"}
answers |= {"StockQuantitySet": "X", "SendReminder": "C", "ParcelReturned": "E"}
answers |= {"ProductDeleted": "X", "ProductDiscontinued": "E"}
kinds_of = {name: Kind[letter] for name, letter in answers.items()}
""",
    ),
    wrong=(
        Wrong(_answer(but={"SendReminder": EVENT}), hint=1),
        Wrong(_answer(but={"StockQuantitySet": EVENT, "ProductDeleted": EVENT}), hint=2),
        Wrong(_answer(but={"ProductDiscontinued": CRUD}), hint=3),
        Wrong('kinds_of = {"OrderPlaced": "event"}', hint=1),
    ),
    check=_check_kinds,
)
