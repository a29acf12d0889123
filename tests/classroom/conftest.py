"""The `tutorial` command, as typed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TUTORIAL = Path(sys.executable).with_name("tutorial")


@pytest.fixture
def tutorial() -> Callable[..., str]:
    """Runs the command and returns what it prints; its messages are never tracebacks."""

    def run(*arguments: str, exits: int = 0, answer: str = "") -> str:
        done = subprocess.run(
            [TUTORIAL, *arguments],
            capture_output=True,
            text=True,
            input=answer,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )
        said = done.stdout + done.stderr
        assert done.returncode == exits, said
        assert "Traceback" not in said
        return said

    return run
