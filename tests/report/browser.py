"""A report in a real browser: the system's Chromium, headless, driven by Playwright.

Tests ask for `open_report`. Where no Chromium is installed they are skipped; with ``HANNAH_HW_BROWSER=required`` in the
environment they fail instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Names of the executable, as distributions have them.
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: Address or path, and what the context of the page is made with -> the page.
OpenReport = Callable[..., "Page"]


def chromium() -> str:
    """The path of the browser; skips or fails the test where it or what drives it is missing."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    reason = f"no Chromium is installed: none of {', '.join(NAMES)} is on the path"
    if found is not None:
        if importlib.util.find_spec("playwright") is not None:
            return found
        reason = "Playwright is not installed; it is in the group 'dev' of pyproject.toml"
    if os.environ.get("HANNAH_HW_BROWSER") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one module; its event loop must not outlive them."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield running
        running.close()


@pytest.fixture
def open_report(browser: Browser) -> Iterator[OpenReport]:
    """Opens pages, each as a new visitor: 1280 x 900 unless told otherwise.

    The test fails when a script of a page raised, or when a page asked for anything but itself.
    """
    problems: list[str] = []
    contexts = []

    def open_(page: Path | str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        opened = context.new_page()
        address = page.resolve().as_uri() if isinstance(page, Path) else page
        opened.on("pageerror", lambda error: problems.append(f"a script failed: {error}"))
        opened.on(
            "console",
            lambda message: (
                problems.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        served = address.partition("#")[0].rpartition("/")[0]
        opened.on(
            "request",
            lambda request: (
                problems.append(f"it asked for {request.url}")
                if not request.url.startswith((served, "blob:", "data:"))
                else None
            ),
        )
        opened.goto(address)
        return opened

    yield open_
    for context in contexts:
        context.close()
    assert problems == [], problems
