"""Exercise 9.1: pauses that grow, end at a ceiling, and are spread over the whole range."""

from collections.abc import Callable

from tutorial_support.exercises.model import Exercise, NotYet, Wrong

FIRST, CEILING = 0.1, 5.0
DRAWS = 400


async def _check_delay(delay_seconds: Callable[[int], float]) -> None:
    for failures in range(1, 13):
        limit = min(CEILING, FIRST * 2 ** (failures - 1))
        drawn = [delay_seconds(failures) for _ in range(DRAWS)]
        if max(drawn) > limit + 1e-9:
            raise NotYet(
                seen=f"a pause of {max(drawn):.2f} s after failure {failures}",
                expected=f"at most {limit:g} s",
                hint=2 if limit == CEILING else 1,
            )
        # 400 draws miss a fifth of the range once in 10^38 times.
        if max(drawn) < 0.8 * limit:
            raise NotYet(
                seen=f"no pause above {max(drawn):.2f} s after failure {failures}",
                expected=f"pauses up to {limit:g} s",
                hint=4 if limit == CEILING else 1,
            )
        middle = sum(drawn) / DRAWS  # misses by a tenth once in 10^11 times
        if abs(middle - limit / 2) > 0.1 * limit:
            cut_off = min(drawn) < max(drawn) == limit
            raise NotYet(
                seen=f"pauses of {middle:.2f} s on average after failure {failures}",
                expected=f"any pause between 0 and {limit:g} s, each as likely as the other",
                hint=2 if cut_off else 3,
            )
    try:
        delay_seconds(5000)
    except OverflowError as error:
        raise NotYet(
            seen=f"OverflowError after failure 5000: {error}",
            expected=f"a pause of at most {CEILING:g} s",
            hint=4,
        ) from error


def _answer(body: str) -> str:
    return f"def delay_seconds(failures):\n{body}"


DELAY = Exercise(
    id="9.1",
    title="A pause with a ceiling and full jitter",
    task="""
Write `delay_seconds(failures)`: how long to wait after so many failures, counted from 1. The
longest pause is **0.1 s** after the first failure and doubles with each further one, up to a
ceiling of **5 s**. The pause itself is anywhere between 0 and the longest, at random: *full
jitter*. A client that has been failing for a week still gets an answer.
""",
    answer="delay_seconds",
    stub='''
def delay_seconds(failures):
    """The pause in seconds after so many failures."""
    ...
''',
    hints=(
        """
The longest pause is `0.1 * 2 ** (failures - 1)`: 0.1, 0.2, 0.4 and so on.
""",
        """
`min(5, ...)` is the ceiling. Draw the random share of what `min` gives; a random share on top of
the ceiling goes over it.
""",
        """
Full jitter means from zero: `random.uniform(0, longest)`. A pause that is varied by a tenth keeps
clients that failed together nearly together.
""",
        """
Python computes `2 ** 4999`, and cannot make a float of it. Limit the exponent too, and not too
low: `0.1 * 2 ** 5` is 3.2, and `0.1 * 2 ** 6` is the first above the ceiling.
""",
    ),
    solutions=(
        _answer("    return random.uniform(0, min(5, 0.1 * 2 ** min(failures - 1, 10)))"),
        _answer(
            """    longest = 0.1
    for _ in range(failures - 1):
        if longest >= 5:
            break
        longest *= 2
    return random.random() * min(longest, 5)
"""
        ),
    ),
    wrong=(
        Wrong(_answer("    return random.uniform(0, min(5, 0.1 * failures))"), hint=1),
        Wrong(_answer("    return random.uniform(0, 0.1 * 2 ** (failures - 1))"), hint=2),
        Wrong(_answer("    return min(5, random.uniform(0, 0.1 * 2 ** (failures - 1)))"), hint=2),
        Wrong(_answer("    return min(5, 0.1 * 2 ** (failures - 1))"), hint=3),
        Wrong(
            _answer("    return min(5, 0.1 * 2 ** (failures - 1)) * random.uniform(0.9, 1)"), hint=3
        ),
        Wrong(_answer("    return random.uniform(0, min(5, 0.1 * 2.0 ** (failures - 1)))"), hint=4),
        Wrong(
            _answer("    return random.uniform(0, min(5, 0.1 * 2 ** min(failures - 1, 5)))"), hint=4
        ),
    ),
    check=_check_delay,
)
