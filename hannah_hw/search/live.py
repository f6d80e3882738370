"""Following a run on a terminal: a table and a plot of the front that are redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from hannah_hw.search.front_view import front_lines
from hannah_hw.search.observers import Ending, Observer, Progress, Record
from hannah_hw.search.progress import (
    ENDINGS,
    PlainLines,
    afterwards,
    chosen,
    fine_tuned,
    measured,
    rows,
    trained,
    unordered,
)
from hannah_hw.wording import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

#: Seconds between two views, at least.
INTERVAL: Final = 0.25
#: Columns of the bar at most.
_BAR: Final = 80


def display(console: Console | None = None) -> Observer:
    """The observer that suits a console: a live view on a terminal, plain lines elsewhere.

    Args:
        console: Where to write; by default standard error, so that standard output stays free for results.
    """
    from rich.console import Console

    console = console or Console(stderr=True)
    return LiveDisplay(console) if console.is_terminal else PlainLines(console.file)


class LiveDisplay:
    """A view of the run that is redrawn in place.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown = float("-inf")

    def on_legalized(self, text: str, /) -> None:
        """See `hannah_hw.search.observers.LegalizationObserver`."""
        self._note(f"space: {text}")

    def on_data(self, text: str, /) -> None:
        """See `hannah_hw.search.observers.DataObserver`."""
        self._note(f"data: {text}")

    def on_choice(self, text: str, /) -> None:
        """See `hannah_hw.search.choosing.ChoiceObserver`."""
        self._note(chosen(text))

    def on_order(self, text: str, /) -> None:
        """See `hannah_hw.search.observers.OrderObserver`."""
        self._note(unordered(text))

    def on_plan(self, text: str, /) -> None:
        """See `hannah_hw.search.measuring.PlanObserver`."""
        self._note(afterwards(text))

    def on_start(self, progress: Progress, /) -> None:
        """See `Observer`."""
        from rich.live import Live

        self._live = Live(View(progress), console=self._console, refresh_per_second=4)
        self._live.start()

    def on_record(self, _record: Record, progress: Progress, /) -> None:
        """See `Observer`."""
        self._show(progress)

    def on_generation(self, progress: Progress, /) -> None:
        """See `Observer`."""
        self._show(progress)

    def on_end(self, progress: Progress, ending: Ending | None, /) -> None:
        """See `Observer`."""
        self._show(progress, last=True)
        if self._live is not None:
            self._live.stop()
        self._console.print(f"search: {ENDINGS[ending]}")

    def on_measurement(self, done: int, total: int, /) -> None:
        """See `hannah_hw.search.measuring.MeasurementObserver`."""
        self._console.print(measured(done, total), end="\n" if done == total else "\r")

    def on_finalist(self, done: int, total: int, /) -> None:
        """See `hannah_hw.search.finalists.FinalistObserver`."""
        self._console.print(fine_tuned(done, total), end="\n" if done == total else "\r")

    def on_supernet(self, epoch: int, epochs: int, loss: float, /) -> None:
        """See `hannah_hw.search.one_shot.SupernetObserver`."""
        self._console.print(trained(epoch, epochs, loss), end="\n" if epoch == epochs else "\r")

    def _note(self, text: str) -> None:
        self._console.print(printable(text), markup=False, highlight=False)

    def _show(self, progress: Progress, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._live is not None and (last or now - self._shown >= INTERVAL):
            self._shown = now
            self._live.update(View(progress))


class View:
    """Where a run stands, for a terminal of any width: numbers, the front, and a plot where there is room for it.

    Args:
        progress: The numbers.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the bar, the numbers, and below them the front."""
        from rich.text import Text

        progress, width = self._progress, options.max_width
        yield Text(_bar(progress, min(width, _BAR), plain=options.ascii_only), style="cyan", no_wrap=True)
        for line in _flow([f"{label} {value}" for label, value in rows(progress)], width):
            yield Text(line)
        if len(progress.front):
            lines = front_lines(progress.front, width, plain=options.ascii_only)
            text = Text("\n".join(["", *lines]), no_wrap=True)
            text.highlight_words(["knee", "◆"], "bold green")
            yield text


def _bar(progress: Progress, width: int, *, plain: bool) -> str:
    share = min(progress.evaluations / max(progress.budget, 1), 1.0)
    full, empty = ("#", ".") if plain else ("█", "░")
    done = round(share * (width - 6))
    return f"{full * done}{empty * (width - 6 - done)} {share:>4.0%}"


def _flow(parts: list[str], width: int) -> Iterator[str]:
    """Parts side by side, each whole, in lines of at most a width where that is possible."""
    line = ""
    for part in parts:
        if line and len(line) + 3 + len(part) > width:
            yield line
            line = part
        else:
            line = f"{line}   {part}" if line else part
    yield line
