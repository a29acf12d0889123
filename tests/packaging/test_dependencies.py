"""pyproject.toml says what the project needs; the pins and the conda environment say it again."""

import pathlib
import re
import tomllib
from collections.abc import Iterable
from itertools import chain

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA_NAMES = {"matplotlib-base": "matplotlib", "redis-py": "redis"}
GIVEN_BY_AN_EXTRA = {"greenlet": "sqlalchemy[asyncio]"}
CONDA_ONLY = {"python", "pip"}
INSTALLED_GROUPS = ("course", "test", "docs", "check")


def requirements(texts: Iterable[str | dict[str, str]]) -> list[Requirement]:
    return [Requirement(text) for text in texts if isinstance(text, str)]


def course_requirements() -> list[Requirement]:
    """What a learner needs to run the notebooks."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    texts = chain(project["dependencies"], *extras, PYPROJECT["dependency-groups"]["course"])
    return [r for r in requirements(texts) if r.name != project["name"]]


def all_requirements() -> list[Requirement]:
    """Every direct dependency of the library, its extras and the groups that `make` installs."""
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    extras = project["optional-dependencies"].values()
    texts = chain(project["dependencies"], *extras, *(groups[g] for g in INSTALLED_GROUPS))
    return [r for r in requirements(texts) if r.name != project["name"]]


def conda_requirements() -> dict[str, Requirement]:
    """The packages of environment.yml under their PyPI names."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    found = {}
    for text in [*conda, *pip["pip"]]:
        requirement = Requirement(re.sub(r"(?<![=<>~])=(?!=)", "==", text))
        name = canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name))
        assert name not in found, f"{name} stands in environment.yml twice"
        found[name] = requirement
    return found


def test_the_conda_environment_asks_for_what_the_course_needs():
    conda = conda_requirements()
    needed = {canonicalize_name(r.name): r.specifier for r in course_requirements()}
    extra = CONDA_ONLY | GIVEN_BY_AN_EXTRA.keys()

    assert {name: r.specifier for name, r in conda.items() if name not in extra} == needed


def test_what_an_extra_brings_is_named_in_the_conda_environment():
    needed = {r.name + f"[{','.join(sorted(r.extras))}]" for r in course_requirements() if r.extras}

    assert needed == set(GIVEN_BY_AN_EXTRA.values())
    assert conda_requirements().keys() >= GIVEN_BY_AN_EXTRA.keys()


def test_binder_reads_the_same_environment():
    assert (ROOT / ".binder/environment.yml").resolve() == ROOT / "environment.yml"


def pins() -> dict[str, str]:
    lines = (ROOT / "tutorial_support/pins.txt").read_text().splitlines()
    pairs = [line.partition("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in pairs}


def test_the_pins_are_names_and_versions_and_nothing_else():
    lines = (ROOT / "tutorial_support/pins.txt").read_text().splitlines()

    odd = [li for li in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", li)]

    assert odd == []


def test_every_direct_dependency_is_pinned_within_its_range():
    pinned = pins()
    wanted = {canonicalize_name(r.name): r.specifier for r in all_requirements()}

    assert wanted.keys() - pinned.keys() == set()
    assert {n: pinned[n] for n, bounds in wanted.items() if pinned[n] not in bounds} == {}


def test_the_citation_names_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())

    assert citation["version"] == PYPROJECT["project"]["version"]
