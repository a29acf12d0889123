"""Print a constraints file that holds every dependency in pyproject.toml at its lower bound."""

import itertools
import pathlib
import tomllib

from packaging.requirements import Requirement
from packaging.specifiers import Specifier

ROOT = pathlib.Path(__file__).resolve().parent.parent


def declared() -> list[Requirement]:
    """What the library, its extras and the groups ask for, without their links to each other."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *pyproject["dependency-groups"].values(),
    ]
    texts = [text for text in itertools.chain(*lists) if isinstance(text, str)]
    return [r for r in map(Requirement, texts) if r.name != project["name"]]


def lower_bound(specifier: Specifier) -> bool:
    return specifier.operator in (">=", "==", "~=")


for requirement in declared():
    for bound in filter(lower_bound, requirement.specifier):
        print(f"{requirement.name}=={bound.version}")
