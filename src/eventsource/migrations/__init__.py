"""The database schema as SQL files, and how to get at them."""

from importlib.resources import files
from pathlib import Path

_HERE = Path(str(files(__name__)))
_TEMPLATES = _HERE / "templates"

#: The templates that make up `all`, in this order: of each backend, those that it has.
ALL_TEMPLATES = (
    "events",
    "outbox",
    "checkpoints",
    "dlq",
    "inbox",
    "snapshots",
    "timeouts",
    "tags",
    "personal_keys",
)

#: Of the events table; the templates record it in the database.
SCHEMA_VERSION = 1

_FOLDERS = {"postgresql": _TEMPLATES, "sqlite": _TEMPLATES / "sqlite"}
_JOINED = {
    "postgresql": _HERE / "schemas" / "all.sql",
    "sqlite": _HERE / "schemas" / "sqlite_all.sql",
}


def get_schema(name: str = "all", backend: str = "postgresql") -> str:
    """SQL text to load as it is; loading it twice is harmless.

    `all` is every table. `events_upgrade` turns an older events table into the present one.
    ValueError for a backend that `list_backends` does not give, FileNotFoundError for a name that
    `list_schemas` does not give.
    """
    if name == "all":
        _check_backend(backend)
        return _JOINED[backend].read_text(encoding="utf-8")
    text = get_template_path(name, backend).read_text(encoding="utf-8")
    return text + "\n" + get_schema("events") if name == "events_upgrade" else text


def join_templates(backend: str) -> str:
    """What the schema `all` has to be."""
    folder = _FOLDERS[backend]
    paths = [path for name in ALL_TEMPLATES if (path := folder / f"{name}.sql").exists()]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def write_joined_schemas() -> None:
    """Write the files of `all` anew, after a change to a template."""
    for backend, path in _JOINED.items():
        path.write_text(join_templates(backend), encoding="utf-8")


def get_statements(name: str = "all", backend: str = "postgresql") -> list[str]:
    """The same schema one statement at a time, for drivers that take one at a time."""
    # In these files an empty line follows every statement and stands in none. Nor is there a per
    # cent sign, which Alembic doubles when it writes SQL instead of running it.
    statements = get_schema(name, backend).split(";\n\n")
    return [statement.strip() for statement in statements if statement.strip()]


def list_backends() -> list[str]:
    """Sorted."""
    return sorted(_FOLDERS)


def list_schemas(backend: str = "postgresql") -> list[str]:
    """Sorted."""
    _check_backend(backend)
    return sorted([*(path.stem for path in _FOLDERS[backend].glob("*.sql")), "all"])


def get_template_path(name: str, backend: str = "postgresql") -> Path:
    """FileNotFoundError, naming what there is, for an unknown template."""
    if name == "all" or name not in list_schemas(backend):
        known = ", ".join(list_schemas(backend))
        raise FileNotFoundError(f"No schema {name!r} for {backend}. There are: {known}.")
    return _FOLDERS[backend] / f"{name}.sql"


def _check_backend(backend: str) -> None:
    if backend not in list_backends():
        raise ValueError(f"No backend {backend!r}. There are: {', '.join(list_backends())}.")


def schema_version_problem(version: int | None, upgrade: str) -> str | None:
    """What is wrong with a database that records this version, or None, and what to do."""
    if version is None or version == SCHEMA_VERSION:
        return None
    if version > SCHEMA_VERSION:
        return (
            f"The database has version {version} of the eventsource schema, this library knows "
            f"version {SCHEMA_VERSION}. Install the eventsource that made the database."
        )
    return (
        f"The database has version {version} of the eventsource schema, this library needs "
        f"version {SCHEMA_VERSION}. {upgrade}"
    )


def list_alembic_templates() -> list[str]:
    """Sorted: `all_tables`, and one for each other schema of PostgreSQL."""
    return sorted({"all_tables", *list_schemas()} - {"all"})


def get_alembic_template(name: str = "all_tables") -> str:
    """Text of an Alembic revision to copy; FileNotFoundError for an unknown name."""
    if name not in list_alembic_templates():
        known = ", ".join(list_alembic_templates())
        raise FileNotFoundError(f"No Alembic template {name!r}. There are: {known}.")
    text = (_TEMPLATES / "alembic" / "revision.py.template").read_text(encoding="utf-8")
    schema = "all" if name == "all_tables" else name
    return text.replace("{schema}", schema).replace("{name}", name)


__all__ = [
    "ALL_TEMPLATES",
    "SCHEMA_VERSION",
    "get_alembic_template",
    "get_schema",
    "get_statements",
    "get_template_path",
    "join_templates",
    "list_alembic_templates",
    "list_backends",
    "list_schemas",
    "schema_version_problem",
    "write_joined_schemas",
]
