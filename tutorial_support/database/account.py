"""The account PostgreSQL runs as. It refuses to be root, so root lends it one that exists."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from .errors import DatabaseUnavailable

if sys.platform != "win32":
    import pwd


class RunAs(TypedDict, total=False):
    """Arguments of `subprocess.Popen` that change the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """Whom the server's processes belong to; `changes` is false when that is you already."""

    uid: int
    gid: int
    name: str
    changes: bool

    def run_as(self) -> RunAs:
        if not self.changes:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give `path`, one of our own files, to this account."""
        if self.changes:
            os.chown(path, self.uid, self.gid)

    def can_use(self, path: Path) -> bool:
        """Whether this account can read `path` and walk down to it."""
        if not self.changes:
            return True
        path = path.resolve()
        above = (folder for folder in path.parents if folder.exists())
        return all(self._may(folder, stat.S_IXOTH) for folder in above) and (
            not path.exists() or self._may(path, stat.S_IROTH | stat.S_IXOTH)
        )

    def _may(self, path: Path, bits: int) -> bool:
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return found.st_mode >> shift & bits == bits


def server_account() -> Account:
    """Yourself, or, when you are root, an existing account without rights."""
    if sys.platform == "win32":
        return Account(0, 0, os.environ.get("USERNAME", "you"), changes=False)
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), "you", changes=False)
    for name in ("nobody", "daemon"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid != 0:
            return Account(found.pw_uid, found.pw_gid, name, changes=True)
    raise DatabaseUnavailable(
        "You are root. PostgreSQL refuses to run as root, and this machine has no account `nobody` "
        "it could use instead. Run the course as an ordinary user, or name a server with "
        "TUTORIAL_DATABASE_URL."
    )
