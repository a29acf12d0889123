"""The database schema as SQL files, and how to get at them."""

from importlib.resources import files
from pathlib import Path

_HERE = Path(str(files(__name__)))
_TEMPLATES = _HERE / "templates"

#: The templates that make up `all`, in this order.
ALL_TEMPLATES = ("events", "outbox")


def get_schema(name: str = "all") -> str:
    """SQL text to load as it is; loading it twice is harmless.

    `all` is every table. `events_upgrade` turns an older events table into the present one.
    FileNotFoundError for a name that `list_schemas` does not give.
    """
    if name == "all":
        return (_HERE / "schemas" / "all.sql").read_text(encoding="utf-8")
    text = get_template_path(name).read_text(encoding="utf-8")
    return text + "\n" + get_schema("events") if name == "events_upgrade" else text


def get_statements(name: str = "all") -> list[str]:
    """The same schema one statement at a time, for drivers that take one at a time."""
    # In these files an empty line follows every statement and stands in none. Nor is there a per
    # cent sign, which Alembic doubles when it writes SQL instead of running it.
    statements = get_schema(name).split(";\n\n")
    return [statement.strip() for statement in statements if statement.strip()]


def get_all_schemas() -> str:
    return get_schema("all")


def list_schemas() -> list[str]:
    """Sorted."""
    return sorted([*(path.stem for path in _TEMPLATES.glob("*.sql")), "all"])


def get_template_path(name: str) -> Path:
    """FileNotFoundError, naming what there is, for an unknown template."""
    path = _TEMPLATES / f"{name}.sql"
    if name not in {template.stem for template in _TEMPLATES.glob("*.sql")}:
        raise FileNotFoundError(f"No schema {name!r}. There are: {', '.join(list_schemas())}.")
    return path


def list_alembic_templates() -> list[str]:
    """Sorted."""
    return sorted(path.name.partition(".")[0] for path in (_TEMPLATES / "alembic").iterdir())


def get_alembic_template(name: str = "all_tables") -> str:
    """Text of an Alembic revision to copy; FileNotFoundError for an unknown name."""
    if name not in list_alembic_templates():
        known = ", ".join(list_alembic_templates())
        raise FileNotFoundError(f"No Alembic template {name!r}. There are: {known}.")
    return (_TEMPLATES / "alembic" / f"{name}.py.template").read_text(encoding="utf-8")


__all__ = [
    "ALL_TEMPLATES",
    "get_alembic_template",
    "get_all_schemas",
    "get_schema",
    "get_statements",
    "get_template_path",
    "list_alembic_templates",
    "list_schemas",
]
