"""Where the course keeps its files: one cache folder per machine user, never the clone."""

import json
import os
import sys
from pathlib import Path

NAME = "eventsource-tutorial"


def cache_folder() -> Path:
    """The course's folder among the user's caches. It may not exist yet."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen).expanduser().resolve() / NAME
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / NAME / "Cache"
    home = Path.home().resolve()
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / NAME


def notebooks_folder() -> Path:
    """The notebooks of the clone this package was installed from."""
    return Path(__file__).resolve().parent.parent / "notebooks"


def docs_folder() -> Path:
    """The pages of the clone that are no notebooks."""
    return notebooks_folder().parent / "docs"


def jupyter_environment() -> dict[str, str]:
    """Variables that keep the files of Jupyter, and of what it starts, in the cache folder."""
    home = cache_folder() / "jupyter"
    return {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
        "npm_config_cache": str(home / "npm"),  # JupyterLab asks npm, if there, where its files are
    }


def prepare_jupyterlab() -> None:
    """Let JupyterLab show Markdown as a page, as the course's index is one, and ask for no news."""
    folder = Path(jupyter_environment()["JUPYTER_CONFIG_DIR"]) / "labconfig"
    folder.mkdir(parents=True, exist_ok=True)
    overrides = {
        "@jupyterlab/docmanager-extension:plugin": {
            "defaultViewers": {"markdown": "Markdown Preview"}
        },
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    }
    (folder / "default_setting_overrides.json").write_text(json.dumps(overrides))
