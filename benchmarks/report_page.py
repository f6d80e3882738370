"""How quickly a report is drawn and follows the reader's hand, in the system's Chromium without a screen.

    python benchmarks/report_page.py runs/mnist/report.html

Prints the size of the page, the milliseconds to its first picture, and for brushes that are dragged the milliseconds
from a movement of the pointer until the script has answered it, and until the next picture is made.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

#: What is dragged -> its selector, and from where to where, as shares of the height and width of the chart.
DRAGS: Final = {
    "scatter, brush": ("#scatter .plane", (0.2, 0.2), (0.7, 0.95)),
    "axis, brush": ("#coords .brush-area", (0.5, 0.1), (0.5, 0.8)),
}
MOVES: Final = 30
_DRAG: Final = """async ([selector, from, to, moves]) => {
  const node = document.querySelector(selector);
  node.scrollIntoView({ block: "center" });
  const box = node.getBoundingClientRect();
  const event = (kind, x, y) => new PointerEvent(kind, {
    clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true, pointerType: "mouse",
  });
  const picture = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  node.dispatchEvent(event("pointerdown", ...from));
  const times = [];
  for (let i = 1; i <= moves; i += 1) {
    await picture();
    const share = i / moves;
    const began = performance.now();
    const [x, y] = from.map((start, axis) => start + share * (to[axis] - start));
    window.dispatchEvent(event("pointermove", x, y));
    const answered = performance.now();
    await picture();
    times.push([answered - began, performance.now() - began]);
  }
  window.dispatchEvent(event("pointerup", ...to));
  return times;
}"""


def drag(page: Page, what: str) -> dict[str, float]:
    """Median and 90th percentile of the milliseconds of each movement."""
    selector, start, end = DRAGS[what]
    times = page.evaluate(_DRAG, [selector, start, end, MOVES])
    answered, pictured = (sorted(column) for column in zip(*times, strict=True))
    page.get_by_role("button", name="as searched").click()
    return {
        "script_ms_median": answered[MOVES // 2],
        "script_ms_p90": answered[9 * MOVES // 10],
        "picture_ms_median": pictured[MOVES // 2],
        "picture_ms_p90": pictured[9 * MOVES // 10],
    }


def measure(path: Path) -> dict[str, Any]:
    """The figures of a page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.resolve().as_uri())
        page.wait_for_timeout(500)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        drags = {what: drag(page, what) for what in DRAGS}
        browser.close()
    return {"bytes": path.stat().st_size, "first_paint_ms": paint, **drags}


def main() -> None:
    """Measure a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("page", type=Path, help="a report.html")
    print(json.dumps(measure(parser.parse_args().page), indent=2))


if __name__ == "__main__":
    main()
