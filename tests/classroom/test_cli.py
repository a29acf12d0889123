"""`tutorial`, as typed: what it prints, what it does, how it exits."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.fuzzing import HOSTILE, fuzz
from tutorial_support.cli import app, main

Tutorial = Callable[..., str]


@pytest.mark.parametrize(
    ("command", "commands"),
    [
        ((), "lab doctor run refresh lint progress reset db"),
        (("db",), "status start stop url psql reset"),
    ],
)
def test_help_explains_every_command(
    tutorial: Tutorial, command: tuple[str, ...], commands: str
) -> None:
    said = tutorial(*command, "--help")
    for name in commands.split():
        assert re.search(rf"│ {name} +[A-Z].{{15,}}", said)


def test_help_says_what_the_exit_codes_mean(tutorial: Tutorial) -> None:
    assert "Exit codes: 0 when it worked, 1 when it did not, 2 for" in tutorial("--help")


def test_the_doctor_says_what_is_found(tutorial: Tutorial, cache: Path) -> None:
    (cache / "postgresql-9").mkdir()
    said = tutorial("doctor")
    assert re.search(r"Embedded PostgreSQL +found +18\.", said)
    assert re.search(r"Server's folder .*" + re.escape(str(cache)), said)
    assert f"data of another version, not used now: {cache}/postgresql-9" in said
    assert "A database can be had" in said


NOBODY = "postgresql://me:Geheim-7@localhost:1/db"


@pytest.mark.parametrize(
    ("command", "variable", "value", "said"),
    [
        (("doctor",), "TUTORIAL_DATABASE_URL", NOBODY, "No PostgreSQL server answers"),
        (("lab",), "TUTORIAL_DATABASE_URL", NOBODY, "No PostgreSQL server answers"),
        (("db", "status"), "TUTORIAL_DATABASE_URL", NOBODY, "No PostgreSQL server answers"),
        (("db", "psql"), "TUTORIAL_DATABASE_URL", NOBODY, "No PostgreSQL server answers"),
        (("db", "url"), "TUTORIAL_DATABASE_URL", "mysql://localhost/db", "needs PostgreSQL"),
        (("doctor",), "TUTORIAL_DATABASE", "oracle", "knows only embedded, local, docker, url"),
        (("lab",), "TUTORIAL_DATABASE", "url", "export TUTORIAL_DATABASE_URL="),
        (("db", "start"), "XDG_CACHE_HOME", "/dev/null/nowhere", "export XDG_CACHE_HOME="),
        (("doctor",), "XDG_CACHE_HOME", "/dev/null/nowhere", "export XDG_CACHE_HOME="),
    ],
)
@pytest.mark.usefixtures("empty_cache")
def test_without_a_database_a_command_fails_with_one_clear_message(
    tutorial: Tutorial,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    *,
    variable: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(variable, value)
    shown = tutorial(*command, exits=1)
    assert said in shown
    assert "Geheim-7" not in shown


@pytest.mark.parametrize("command", ["lab", "refresh"])
def test_a_notebook_that_does_not_exist_is_refused_with_those_that_do(
    tutorial: Tutorial, command: str
) -> None:
    assert "There is no notebook 99. There are: " in tutorial(command, "99", exits=2)


@pytest.mark.parametrize("folder", ["not-there", "9" * 5000, ""])
def test_a_site_of_a_folder_that_is_not_there(tutorial: Tutorial, folder: str) -> None:
    said = tutorial("html", "--executed", f"{folder}/none", exits=2)
    assert "There is no folder" in said
    assert "tutorial run" in said


HOSTILE_NUMBERS = ["-1", "0", "abc", "1.5", "9" * 5000, "", "'; DROP", "\udcff", "nan", "../1"]


@pytest.mark.parametrize("number", HOSTILE_NUMBERS, ids=lambda one: ascii(one)[:12])
@pytest.mark.parametrize(
    "command",
    ["lab --no-browser", "run", "refresh", "lint", "reset -y", "db start --port", "no-command"],
)
def test_a_number_that_is_none_is_refused(command: str, number: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), number])
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert done.output


texts = st.sampled_from([*HOSTILE, *HOSTILE_NUMBERS, "--", "-", "--yes", "--help", "11"])


@fuzz
@given(words=st.lists(texts | st.text(max_size=5), max_size=3))
@pytest.mark.parametrize(
    "command", ["", "run", "refresh", "lint", "reset", "progress", "db reset", "db", "services"]
)
def test_any_words_are_refused_in_words(command: str, words: list[str]) -> None:
    """`none-such` makes sure that none of them is a command that does something."""
    done = CliRunner().invoke(app, [*command.split(), *words, "none-such"], input="n\n")
    assert isinstance(done.exception, SystemExit) or (
        done.exit_code == 0 and "Usage" in done.output
    )
    assert done.output


def test_a_database_of_an_unprintable_name_is_not_there(cache: Path) -> None:
    done = CliRunner().invoke(app, ["db", "reset", "--yes", "\ud800"])
    assert isinstance(done.exception, SystemExit)
    assert r"There is no database \ud800 of the course" in done.output


def test_lint_accepts_the_notebooks_of_the_course(tutorial: Tutorial) -> None:
    assert tutorial("lint") == ""


def test_without_psql_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tutorial_support.database.programs.psql", lambda _: None)
    monkeypatch.setattr("sys.argv", ["tutorial", "db", "psql"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "apt-get install postgresql-client" in capsys.readouterr().err
