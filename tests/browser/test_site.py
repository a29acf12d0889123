"""The site that `make html` builds, in Chromium: it needs no other, and all can read it."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from tutorial_support import site
from tutorial_support.notebooks import find, title
from tutorial_support.notebooks.glossary import definitions
from tutorial_support.paths import notebooks_folder

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
AT_ONCE = 2
# What else axe looks for does not depend on colours.
OF_COLOUR = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
PHONE = {"width": 360, "height": 740}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the notebooks as they are stored. A warning of Sphinx fails it."""
    folder = tmp_path_factory.mktemp("html") / "site"
    assert site.build(notebooks_folder(), folder)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def pages(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))


@pytest.fixture
async def page(browser: "Browser") -> AsyncIterator["Page"]:
    page = await browser.new_page()
    yield page
    await page.close()


async def on_every_page(
    browser: "Browser", urls: list[str], look: Any, **options: Any
) -> list[str]:
    """What `look(page)` finds on each page, with the page's address in front."""
    left, found = iter(urls), []

    async def visit() -> None:
        page = await browser.new_page(**options)
        for url in left:
            await page.goto(url)
            found.extend([f"{url}: {what}" for what in await look(page)])
        await page.close()

    await asyncio.gather(*(visit() for _ in range(AT_ONCE)))
    return sorted(found)


async def test_no_page_asks_another_site_for_anything(
    browser: "Browser", address: str, pages: list[str]
) -> None:
    async def foreign(page: "Page") -> list[str]:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.reload(wait_until="networkidle")
        return [url for url in asked if not url.startswith((address, "data:", "blob:"))]

    assert await on_every_page(browser, [f"{address}/{page}" for page in pages], foreign) == []


async def test_axe_finds_no_serious_violation_light_or_dark(
    browser: "Browser", address: str, pages: list[str]
) -> None:
    from axe_playwright_python.async_playwright import Axe

    async def violations(page: "Page") -> list[str]:
        found = []
        for scheme, rules in {"light": {}, "dark": OF_COLOUR}.items():
            await page.emulate_media(color_scheme=scheme)
            result = await Axe().run(page, options=rules | {"resultTypes": ["violations"]})
            found += [
                f"{scheme}: {violation['id']}: {node['html']:.150} {node['failureSummary']}"
                for violation in result.response["violations"]
                if violation["impact"] in {"serious", "critical"}
                for node in violation["nodes"]
            ]
        return found

    urls = [f"{address}/{page}" for page in pages]
    found = await on_every_page(browser, urls, violations)
    assert not found, "\n".join(found)


async def test_no_page_scrolls_sideways_on_a_phone(
    browser: "Browser", address: str, pages: list[str]
) -> None:
    async def too_wide(page: "Page") -> list[str]:
        width = await page.evaluate("document.documentElement.scrollWidth")
        return [f"{width} pixels wide"] if width > PHONE["width"] else []

    urls = [f"{address}/{page}" for page in pages]
    assert await on_every_page(browser, urls, too_wide, viewport=PHONE) == []


class Links(HTMLParser):
    """The ids of a page and the links on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(str(given["id"]))
        if link := given.get("href") or given.get("src"):
            self.links.append(link)


def test_every_link_within_the_site_leads_somewhere(folder: Path, pages: list[str]) -> None:
    read = {folder / page: Links((folder / page).read_text("utf-8")) for page in pages}
    dead = []
    for page, content in read.items():
        for link in content.links:
            file, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / file.partition("?")[0]).resolve() if file else page
            known = read.get(target)
            if not target.exists() or (anchor and known and anchor not in known.ids):
                dead.append(f"{page.name}: {link}")
    assert dead == []


async def test_search_finds_the_page_of_a_word(page: "Page", address: str) -> None:
    await page.goto(f"{address}/index.html")
    await page.fill("input[name=q]", "glossary")
    await page.press("input[name=q]", "Enter")
    await page.wait_for_selector("#search-results a:has-text('Glossary')")


async def test_the_reader_can_choose_dark(page: "Page", address: str) -> None:
    await page.emulate_media(color_scheme="light")
    await page.goto(f"{address}/index.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(colour)
    await page.locator(".theme-toggle:visible").first.click()
    assert await page.evaluate("document.body.dataset.theme") == "dark"
    assert await page.evaluate(colour) != light


async def test_hints_and_solutions_are_folded_until_asked_for(page: "Page", address: str) -> None:
    await page.goto(f"{address}/notebooks/11-postgresql.html")
    solution = page.locator("details:has(> summary:text-is('Solution'))").first
    code = solution.locator(".highlight")
    assert not await code.is_visible()
    await solution.locator("summary").click()
    assert await code.is_visible()


async def test_a_reader_walks_from_page_to_page(page: "Page", address: str) -> None:
    titles = [title(path) for path in find()]
    await page.goto(f"{address}/index.html")
    for each in titles:
        await page.click(".next-page")
        assert each in await page.inner_text("h1")
    await page.click(".next-page")
    assert "Glossary" in await page.inner_text("h1")
    await page.click(".prev-page")
    assert titles[-1] in await page.inner_text("h1")


async def test_a_term_is_linked_where_a_page_first_uses_it(page: "Page", address: str) -> None:
    await page.goto(f"{address}/notebooks/11-postgresql.html")
    links = page.locator("article a:has(> .glossary-term)")
    shown = [text.lower() for text in await links.all_inner_texts()]
    assert "outbox" in shown
    assert len(shown) == len(set(shown)) <= len(definitions())
    await links.filter(has_text="outbox").first.click()
    assert "glossary.html#term-outbox" in page.url


async def test_no_page_looks_broken(page: "Page", address: str, pictures: Path) -> None:
    """Takes pictures for people to look at; a script's error fails it."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        for name in ("index", "glossary", "notebooks/11-postgresql", "api/stores"):
            await page.goto(f"{address}/{name}.html")
            file = f"site-{scheme}-{name.replace('/', '-')}.png"
            await page.screenshot(path=pictures / file, animations="disabled")
    assert errors == []
