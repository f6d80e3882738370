"""What is said of a run while it goes on, and plain lines of it where there is no terminal."""

from __future__ import annotations

import time
from typing import IO, Final

from hannah_hw.search.foresight import describe
from hannah_hw.search.metrics import METRICS
from hannah_hw.search.observers import Ending, Progress, Record
from hannah_hw.wording import printable

#: Seconds between two plain lines, at least.
LINE_INTERVAL: Final = 5.0
#: Values of a param of the target that are shown, the most frequent on the front.
_SHOWN: Final = 4
#: Numbers of a line that stand before the best values of the objectives: those that are read most.
_FIRST: Final = 4
#: Why a run is over -> what is said of it.
ENDINGS: Final[dict[Ending | None, str]] = {
    "budget": "done",
    "exhausted": "done early: the space holds no further candidate within the constraints",
    "stopped": "stopped as asked; it goes on with --resume",
    None: "stopped",
}


def rows(progress: Progress) -> list[tuple[str, str]]:
    """What a display shows, as pairs of a label and a value."""
    hypervolume = "-" if progress.hypervolume is None else f"{progress.hypervolume:.4f}"
    evaluations = f"{progress.evaluations} of {progress.budget}"
    counts = ((progress.stopped, "stopped early"), (progress.failed, "failed"))
    if notes := [f"{count} {what}" for count, what in counts if count]:
        evaluations += f" ({', '.join(notes)})"
    feasible = f"{progress.feasible_share:.1%} of {progress.estimated} estimates"
    return [
        ("evaluations", evaluations),
        ("elapsed", clock(progress.elapsed_s)),
        ("left", "-" if progress.left_s is None else clock(progress.left_s)),
        ("front", str(progress.front_size)),
        ("feasible", feasible if progress.estimated else "-"),
        ("hypervolume", hypervolume),
        ("generation", str(progress.generation)),
        *(
            (f"front {name}", "/".join(values[:_SHOWN]) + ("/..." if len(values) > _SHOWN else ""))
            for name, values in progress.hardware.items()
        ),
        *([("predictor", describe(progress.predictor))] if progress.predictor is not None else []),
    ]


def best(progress: Progress) -> dict[str, str]:
    """Objective -> its best value on the front, as a person reads it; empty before there is a front."""
    front = progress.front
    if not len(front):
        return {}
    chosen = {name: min if direction == "min" else max for name, direction in front.objectives.items()}
    return {name: METRICS[name].format(pick(front.values(name))) for name, pick in chosen.items()}


def clock(seconds: float) -> str:
    """``4:05`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def measured(done: int, total: int) -> str:
    """How far the measurements after a search are."""
    return f"measuring: {done} of {total} models are done"


def fine_tuned(done: int, total: int) -> str:
    """How far the fine-tuning after a search is."""
    return f"fine-tuning: {done} of {total} finalists are done"


def trained(epoch: int, epochs: int, loss: float) -> str:
    """How far the training of a supernet is."""
    return f"supernet: {epoch} of {epochs} epochs are done, loss {loss:.3f}"


def afterwards(text: str) -> str:
    """What is measured after a search."""
    return f"after the search {text}"


def chosen(text: str) -> str:
    """Which algorithm searches, and why."""
    return f"algorithm: {text}"


def unordered(text: str) -> str:
    """That a run cannot be repeated."""
    return f"not reproducible: {text}"


class PlainLines:
    """One line every `LINE_INTERVAL` seconds, and one at the end.

    Args:
        stream: Where to write.
        interval: Seconds between two lines, at least.
    """

    def __init__(self, stream: IO[str], interval: float = LINE_INTERVAL) -> None:
        self._stream = stream
        self._interval = interval
        self._last = float("-inf")

    def on_legalized(self, text: str, /) -> None:
        """See `hannah_hw.search.observers.LegalizationObserver`."""
        self._stream.write(f"space: {text}\n")

    def on_data(self, text: str, /) -> None:
        """See `hannah_hw.search.observers.DataObserver`."""
        self._stream.write(f"data: {printable(text)}\n")

    def on_choice(self, text: str, /) -> None:
        """See `hannah_hw.search.choosing.ChoiceObserver`."""
        self._stream.write(chosen(text) + "\n")

    def on_order(self, text: str, /) -> None:
        """See `hannah_hw.search.observers.OrderObserver`."""
        self._stream.write(unordered(text) + "\n")

    def on_plan(self, text: str, /) -> None:
        """See `hannah_hw.search.measuring.PlanObserver`."""
        self._stream.write(afterwards(text) + "\n")

    def on_start(self, progress: Progress, /) -> None:
        """See `Observer`."""
        self._stream.write(f"search: {progress.budget} evaluations\n")

    def on_record(self, _record: Record, progress: Progress, /) -> None:
        """See `Observer`."""
        if time.monotonic() - self._last >= self._interval:
            self._last = time.monotonic()
            self._line(progress)

    def on_generation(self, progress: Progress, /) -> None:
        """See `Observer`."""

    def on_end(self, progress: Progress, ending: Ending | None, /) -> None:
        """See `Observer`."""
        self._line(progress)
        self._stream.write(f"search: {ENDINGS[ending]}\n")
        self._stream.flush()

    def on_measurement(self, done: int, total: int, /) -> None:
        """See `hannah_hw.search.measuring.MeasurementObserver`."""
        self._after(measured(done, total), done == total)

    def on_finalist(self, done: int, total: int, /) -> None:
        """See `hannah_hw.search.finalists.FinalistObserver`."""
        self._after(fine_tuned(done, total), done == total)

    def on_supernet(self, epoch: int, epochs: int, loss: float, /) -> None:
        """See `hannah_hw.search.one_shot.SupernetObserver`."""
        self._after(trained(epoch, epochs, loss), epoch == epochs)

    def _after(self, text: str, last: bool) -> None:
        if last or time.monotonic() - self._last >= self._interval:
            self._last = time.monotonic()
            self._stream.write(text + "\n")
            self._stream.flush()

    def _line(self, progress: Progress) -> None:
        numbers = rows(progress)
        told = [(f"best {name}", value) for name, value in best(progress).items()]
        line = [*numbers[:_FIRST], *told, *numbers[_FIRST:]]
        self._stream.write(", ".join(f"{label} {value}" for label, value in line) + "\n")
        self._stream.flush()
