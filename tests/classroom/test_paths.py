"""What the course writes is in one folder of the user's caches."""

import sys
from pathlib import Path

import pytest

from tutorial_support.paths import cache_folder, jupyter_environment, notebooks_folder


def test_the_cache_is_where_the_user_wants_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "eventsource-tutorial"


@pytest.mark.parametrize(
    ("platform", "place"),
    [
        ("linux", ".cache/eventsource-tutorial"),
        ("darwin", "Library/Caches/eventsource-tutorial"),
        ("win32", "AppData/Local/eventsource-tutorial/Cache"),
    ],
)
def test_the_cache_is_where_the_system_has_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, place: str
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / place


def test_jupyter_keeps_its_files_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for place in jupyter_environment().values():
        assert Path(place).is_relative_to(cache_folder())


def test_the_notebooks_are_those_of_the_clone() -> None:
    assert (notebooks_folder().parent / "pyproject.toml").exists()
