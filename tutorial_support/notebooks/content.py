"""What stands inside the frame: budgets, tags, links, pictures and stored outputs."""

import ast
import re
from collections.abc import Iterator
from copy import deepcopy

from tutorial_support.notebooks.files import normalise, tags, text
from tutorial_support.notebooks.page import Found, Page, links, output_texts, without_code

CODE_CELLS, CODE_LINES, CELL_LINES, PROSE_LINES, LINE_WIDTH = 30, 300, 30, 6, 100
KNOWN_TAGS = {"parameters", "nbval-ignore-output", "nbval-skip", "skip-execution", "hide-input"}
SHOWS = {
    "check",
    "check_exercise",
    "display",
    "expect",
    "figure",
    "print",
    "sql",
    "stream",
    "table",
}
SHOWS |= {"causes", "monitor", "strip", "time_travel", "timeline", "waterfall"}
LEAKS = {
    "a path of one machine": r"(?<![\w.:/])(/(home|Users|root|tmp|var|opt|private)/|[A-Z]:\\)\w",
    "a password": r"://[^\s:/@]+:(?!\*+@)[^\s@]+@",
    "a memory address, which changes on every run": r"\bat 0x[0-9a-fA-F]{6,}",
}


def budgets(page: Page) -> Found:
    """The notebook, its cells and its paragraphs stay short."""
    sizes = {
        n: sum(bool(line.strip()) for line in cell.source.splitlines()) for n, cell in page.code
    }
    if len(sizes) > CODE_CELLS:
        yield 0, f"{len(sizes)} code cells; at most {CODE_CELLS}"
    if sum(sizes.values()) > CODE_LINES:
        yield 0, f"{sum(sizes.values())} lines of code; at most {CODE_LINES}"
    for n, size in sizes.items():
        if size > CELL_LINES:
            yield n, f"{size} lines of code; at most {CELL_LINES}, better 15: split it"
    for n, source in page.markdown:
        for paragraph in re.split(r"\n\s*\n", without_code(source)):
            if not re.match(r"\s*([-*] |[|#<>]|\d+\. )", paragraph):
                size = sum(-(-len(line) // LINE_WIDTH) for line in paragraph.splitlines())
                if size > PROSE_LINES:
                    yield n, f"a paragraph of {size} lines; at most {PROSE_LINES}: split or cut it"


def tagging(page: Page) -> Found:
    """Tags are known ones, and those of two tools come together."""
    for n, cell in page.cells:
        mine = set(tags(cell))
        if "raises-exception" in mine:
            yield (
                n,
                "no raises-exception: use `with expect(Error):`, which fails if nothing is raised",
            )
        if unknown := mine - KNOWN_TAGS - {"raises-exception"}:
            yield n, f"unknown tags: {', '.join(sorted(unknown))}"
        if len(mine & {"nbval-skip", "skip-execution"}) == 1:
            yield n, "nbval-skip and skip-execution are for different tools: give both"
        if ("hide-input" in mine) != bool(cell.metadata.get("jupyter", {}).get("source_hidden")):
            yield n, "hide-input and jupyter.source_hidden are for different viewers: give both"


def targets(page: Page) -> Found:
    """Links to files lead somewhere; pictures are not fetched from elsewhere."""
    for n, source in page.markdown:
        for link in links(source):
            target = link.partition("#")[0]
            if target and ":" not in target and not (page.path.parent / target).exists():
                yield n, f"the link to {target} leads nowhere: write plain text until it exists"
        if re.search(r"!\[[^\]]*\]\(https?:|<img[^>]+src=[\"']?https?:", source):
            yield n, "a picture from another site: keep it in the repository"


def pictures(page: Page) -> Found:
    """Every picture says in words what it shows."""
    for n, source in page.markdown:
        if "![](" in source or _silent_tags(source):
            yield n, "a picture without alternative text"
    for n, cell in page.code:
        for output in cell.outputs:
            data = output.get("data", {})
            bare = any(kind.startswith("image/") for kind in data) and "text/html" not in data
            if bare or _silent_tags(data.get("text/html", "")):
                yield n, "a picture without alternative text: show it with figure(fig, alt=...)"


def outputs(page: Page) -> Found:
    """What the cells show is stored, is no error or warning, and tells nothing of the machine."""
    trees = dict(page.trees)
    for n, cell in page.code:
        if _shows(trees[n]) and not cell.outputs and "skip-execution" not in tags(cell):
            yield n, "nothing is stored of what this cell shows: run `tutorial refresh`"
        for output in cell.outputs:
            if output.output_type == "error":
                yield n, f"an error is stored: {output.ename}: {output.evalue}"
            if output.get("name") == "stderr":
                yield n, f"a warning is stored: {output.text.strip().splitlines()[-1]}"
        for what, pattern in LEAKS.items():
            if any(re.search(pattern, each) for each in output_texts(cell)):
                yield n, f"the output shows {what}"


def imports(page: Page) -> Found:
    """Notebooks use what is public."""
    for n, tree in page.trees:
        for module, name in _imported(tree):
            package, *inner = [*module.split("."), *([name] if name else [])]
            if package in {"eventsource", "tutorial_support"} and any(
                p.startswith("_") for p in inner
            ):
                yield n, f"{module}{'.' if name else ''}{name} is private: import what is public"


def normal_form(page: Page) -> Found:
    """The file is as `tutorial refresh` writes it."""
    before = text(page.notebook)
    copy = deepcopy(page.notebook)
    normalise(copy)
    if text(copy) != before:
        yield 0, "not as `tutorial refresh` writes it: run it"


def _silent_tags(html: str) -> list[str]:
    pictures_ = re.findall(r"<(?:img|svg)\b[^>]*>", html)
    spoken = re.compile(r'<img[^>]* alt="[^"]+"|<svg(?=[^>]* role="img")[^>]* aria-label="[^"]+"')
    return [tag for tag in pictures_ if not spoken.match(tag)]


def _shows(tree: ast.Module) -> bool:
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return any(
        isinstance(node, ast.Call) and getattr(node.func, "id", "") in SHOWS
        for statement in tree.body
        if not isinstance(statement, definitions)
        for node in ast.walk(statement)
    )


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


RULES = (budgets, tagging, targets, pictures, outputs, imports, normal_form)
