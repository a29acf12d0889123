"""docker-compose.yml, read as text: what holds for every server in it."""

import pathlib
import re

import pytest
import yaml

from tutorial_support.database.cluster import SETTINGS
from tutorial_support.database.container import IMAGE
from tutorial_support.database.databases import COURSE_DATABASE
from tutorial_support.services.kinds import KINDS, Kind

COMPOSE = yaml.safe_load((pathlib.Path(__file__).parents[2] / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_server_can_be_reached_from_this_machine_only(name: str):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_server_says_when_it_is_ready(name: str):
    assert SERVICES[name]["healthcheck"]["test"]


def test_only_the_database_starts_unasked():
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["postgres"]


def test_the_database_is_the_one_that_the_course_starts_by_itself():
    database = SERVICES["postgres"]

    assert database["image"] == f"${{POSTGRES_IMAGE:-{IMAGE}}}"
    assert database["environment"]["POSTGRES_DB"] == COURSE_DATABASE
    for name in ("max_connections", "wal_level", "timezone"):
        assert f"-c {name}={SETTINGS[name]}" in database["command"]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_url_the_course_tells_for_docker_is_the_one_that_compose_opens(kind: Kind):
    (port,) = SERVICES[kind.profile]["ports"]
    default = re.search(r"_PORT:-(\d+)}", port)

    assert kind.profile in SERVICES[kind.profile]["profiles"]
    assert default
    assert f"localhost:{default[1]}" in kind.example


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_course_runs_the_same_image_by_itself(kind: Kind):
    service = SERVICES[kind.profile]
    assert service["image"] == f"${{{kind.profile.upper()}_IMAGE:-{kind.image.name}}}"


def test_kafka_has_the_same_settings_either_way():
    ours = KINDS["kafka"].image.environment(9092, "")
    theirs = {
        name: re.sub(r"\$\{KAFKA_PORT:-9092}", "9092", str(value))
        for name, value in SERVICES["kafka"]["environment"].items()
    }
    assert {k: v.replace("127.0.0.1", "localhost") for k, v in ours.items()} == theirs
