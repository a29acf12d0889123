"""The reference of the library: every public name once, by the shortest name that imports it."""

import inspect
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import eventsource

# In reading order; what is not named here comes behind, under its own name.
TITLES = {
    "events": "Events",
    "aggregates": "Aggregates and repositories",
    "stores": "Event stores",
    "snapshots": "Snapshots",
    "projections": "Projections",
    "subscriptions": "Subscriptions",
    "repositories": "Checkpoints, dead letters, outbox and inbox",
    "outbox": "Publishing the outbox",
    "bus": "Event buses",
    "multitenancy": "Tenants",
    "privacy": "Personal data",
    "process": "Process managers",
    "observability": "Observability",
    "testing": "Testing",
    "migrations": "The database schema",
    "exceptions": "Errors",
}
# Modules of a few names that stand with those they belong to.
BELONGS = {
    "handlers": "events",
    "notifications": "stores",
    "retries": "projections",
    "sqlite_database": "stores",
    "type_conversion": "events",
    "types": "stores",
}
HELPERS = {
    "tutorial_support.lab": "Experiments",
    "tutorial_support.show": "Tables and pictures",
    "tutorial_support.database": "Databases",
}
_INDEX = """# Reference

Every public name of the library, with the name under which you import it, and the helpers of the
notebooks. All of it is written from the docstrings.

```{{toctree}}
{entries}
```
"""


def write(into: Path) -> None:
    """Write one page for each part of the library and one for the notebooks' helpers."""
    into.mkdir(parents=True)
    names = _names()
    groups = [*TITLES, *sorted(names.keys() - TITLES.keys())]
    pages = [group for group in groups if names.get(group)]
    for group in pages:
        title = TITLES.get(group, group.replace("_", " ").capitalize())
        entries = sorted(names[group], key=lambda name: name.rpartition(".")[2])
        page = _page(title, [_entry(name) for name in entries], f"eventsource.{group}")
        (into / f"{group}.md").write_text(page, "utf-8")
    helpers = [
        f"{title}\n{'-' * len(title)}\n\n"
        + "\n\n".join(_entry(f"{module}.{name}") for name in _public(import_module(module)))
        for module, title in HELPERS.items()
    ]
    (into / "helpers.md").write_text(_page("Helpers of the notebooks", helpers, ""), "utf-8")
    (into / "index.md").write_text(_INDEX.format(entries="\n".join([*pages, "helpers"])), "utf-8")


def _names() -> dict[str, set[str]]:
    """The names of the front door and of the packages that list theirs, by where they come from."""
    found: dict[str, set[str]] = defaultdict(set)
    known: set[int] = set()
    packages = map(import_module, _packages())
    for module in [eventsource, *(each for each in packages if hasattr(each, "__all__"))]:
        for name in _public(module):
            thing = getattr(module, name)
            if id(thing) not in known:
                known.add(id(thing))
                found[_home(thing, module)].add(f"{module.__name__}.{name}")
    return found


def _packages() -> Iterator[str]:
    for module in pkgutil.iter_modules(eventsource.__path__):
        if not module.name.startswith("_"):
            yield f"eventsource.{module.name}"


def _public(module: ModuleType) -> list[str]:
    """The classes and functions that a module offers."""
    own = [
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")
    ]
    return [name for name in getattr(module, "__all__", own) if _kind(getattr(module, name))]


def _home(thing: object, module: ModuleType) -> str:
    home = str(getattr(thing, "__module__", module.__name__)).split(".")[1]
    return BELONGS.get(home, home)


def _kind(thing: object) -> str:
    if inspect.isclass(thing):
        return "exception" if issubclass(thing, BaseException) else "class"
    return "function" if inspect.isroutine(thing) else ""


def _entry(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    kind = _kind(getattr(import_module(module), attribute))
    options = {"function": [], "class": ["members"], "exception": ["members", "show-inheritance"]}
    return "\n   ".join([f".. auto{kind}:: {name}", *(f":{each}:" for each in options[kind])])


def _page(title: str, entries: list[str], module: str) -> str:
    body = "\n\n".join(entries)
    about = f"`{module}`\n\n" if module else ""
    return f"# {title}\n\n{about}```{{eval-rst}}\n{body}\n```\n"
