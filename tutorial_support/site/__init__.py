"""The course as a web site: notebooks with their outputs, glossary, reference."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from tutorial_support.paths import docs_folder
from tutorial_support.site.pages import gather


def build(executed: Path, output: Path) -> bool:
    """Build the site into `output`, with the notebooks that are in the folder `executed`, and the
    others as they are stored. Tells whether it went well.

    Sphinx says what is wrong; a warning is an error. The pages need no other site.
    """
    options = ["-q", "-W", "--keep-going", "-b", "html", "-c", str(docs_folder())]
    with TemporaryDirectory(prefix="tutorial-site-") as folder:
        source = Path(folder, "source")
        gather(executed, source)
        options += ["-d", str(Path(folder, "doctrees"))]
        sphinx = [sys.executable, "-m", "sphinx", *options, str(source), str(output)]
        return subprocess.run(sphinx, check=False).returncode == 0


def can_build() -> bool:
    """Whether the packages of the dependency group `docs` are installed."""
    return all(map(find_spec, ("sphinx", "myst_nb", "furo", "sphinx_copybutton")))
