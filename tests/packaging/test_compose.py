"""docker-compose.yml, read as text: what holds for every server in it."""

import pathlib

import pytest
import yaml

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
