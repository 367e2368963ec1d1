"""The book as a reader has it: served on this machine, read by Debian's Chromium."""

import functools
import http.server
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 900}

ALLOWED = {
    "region": "the theme's logo and its skip link stand outside of a landmark",
    "aria-allowed-role": "docutils gives entries of the bibliography a role that their element may not have",
    "aria-deprecated-role": "docutils gives them a role that has been given up since",
    "aria-required-children": "docutils makes the bibliography a list of these entries",
    "empty-table-header": "pandas leaves the corner above row names empty where a notebook displays a plain frame",
}
"""Rules of axe that the tool chain breaks, not this book, and why."""

SETTLED = "Promise.all(document.getAnimations().map(one => one.finished))"
"""When colors have come to rest: a page that opens in the dark is on its way from light for a moment."""

CONTRAST = "color-contrast"
"""The rule that takes most of the time: it is asked apart, on some pages, in both themes."""


@dataclass
class Reader:
    """A browser on the book; `complaints` gathers what no page may do."""

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        self.page.goto(f"{self.address}/{path}", wait_until="load")
        return self.page

    def axe(self, *, contrast: bool = False) -> dict[str, str]:
        """The rules of axe that the open page breaks, each with where; of colors only or of everything else."""
        from axe_playwright_python.sync_playwright import Axe

        chosen = {"runOnly": [CONTRAST]} if contrast else {"rules": {CONTRAST: {"enabled": False}}}
        self.page.evaluate(SETTLED)
        options = {"resultTypes": ["violations"], "preload": False} | chosen
        found = Axe().run(self.page, options=options).response["violations"]
        return {one["id"]: f"{one['help']}: {[node['target'] for node in one['nodes']][:3]}" for one in found}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def reader(html: Path) -> Iterator[Reader]:
    """Serves a built book and opens a browser on it; skips the test where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: the book was not read in a browser (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=WIDE)
        mine = Reader(page, f"http://127.0.0.1:{server.server_port}")
        page.on("console", lambda said: said.type == "error" and mine.complaints.append(f"{page.url}: {said.text}"))
        page.on("pageerror", lambda error: mine.complaints.append(f"{page.url}: {error}"))
        page.on("request", lambda asked: _local(asked.url, mine) or mine.complaints.append(f"asks for {asked.url}"))
        page.on("response", lambda got: got.status < 400 or mine.complaints.append(f"{got.status} {got.url}"))
        try:
            yield mine
        finally:
            browser.close()
            server.shutdown()
            server.server_close()


def _local(url: str, mine: Reader) -> bool:
    return url.startswith((mine.address, "data:", "blob:"))


def says_what_is_seen(alt: str, caption: str) -> bool:
    """Whether an alternative text is a sentence of its own: no file name, not the caption again."""
    return len(alt.split()) >= 4 and not re.search(r"\.(png|svg|jpe?g)$", alt) and alt.strip() != caption.strip()
