"""What a run shows, and that observers see every event once."""

import io
from dataclasses import replace

from rich.console import Console
from search_toys import StagesEvaluator, StagesProblem

from hannah_hw.search import LiveDisplay, PlainLines, Search, display
from hannah_hw.search.observers import Progress
from hannah_hw.search.progress import clock, rows

RUNNING = Progress(
    generation=2,
    evaluations=20,
    budget=40,
    failed=3,
    infeasible=5,
    estimated=100,
    feasible_share=0.5,
    hypervolume=None,
    front_size=4,
    elapsed_s=60.0,
    left_s=60.0,
)


class Recorder:
    def __init__(self):
        self.events = []

    def on_start(self, progress):
        self.events.append(("start", progress))

    def on_record(self, record, progress):
        self.events.append(("record", progress, record["index"]))

    def on_generation(self, progress):
        self.events.append(("generation", progress))

    def on_end(self, progress, ending):
        self.events.append(("end", progress, ending))


def run(*observers, budget=30):
    search = Search(
        StagesProblem(),
        None,
        ["error", "latency"],
        {"ram": "<= 200000"},
        evaluator=StagesEvaluator(((0, "bug"),)),
        algorithm="nsga2",
        population=10,
        observers=observers,
    )
    return search.fit(budget)


def test_observers_see_every_record_once_and_the_numbers_add_up():
    recorder = Recorder()
    search = run(recorder)
    kinds = [event[0] for event in recorder.events]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert [e[2] for e in recorder.events if e[0] == "record"] == list(range(len(search.history_)))
    assert recorder.events[-1][2] == "budget"
    last = recorder.events[-1][1]
    statuses = [r["status"] for r in search.history_]
    assert (last.evaluations, last.budget) == (30, 30)
    assert (last.failed, last.infeasible) == (statuses.count("failed"), statuses.count("infeasible"))
    assert last.front_size == len(search.front_)
    assert last.front.ids == tuple(record["id"] for record in search.front_)
    for name in ("error", "latency"):
        assert last.front.values(name) == [record["objectives"][name] for record in search.front_]
    assert last.hypervolume == search.hypervolume_
    assert last.estimated >= len(search.history_)
    assert last.left_s == 0.0
    volumes = [e[1].hypervolume for e in recorder.events if e[1].hypervolume is not None]
    assert volumes == sorted(volumes)


def test_what_is_charged_but_on_no_front_is_counted_apart():
    assert dict(rows(replace(RUNNING, stopped=12)))["evaluations"] == "20 of 40 (12 stopped early, 3 failed)"
    assert dict(rows(replace(RUNNING, failed=0)))["evaluations"] == "20 of 40"


def test_plain_lines_are_lines():
    stream = io.StringIO()
    run(PlainLines(stream, interval=0.0))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "search: 30 evaluations"
    assert lines[-1] == "search: done"
    assert lines[-2].startswith("evaluations 30 of 30 (")
    for word in ("feasible", "hypervolume 0.", "front", "left 0:00", "best error", "best latency"):
        assert word in lines[-2]
    assert "\x1b" not in stream.getvalue()
    # What is read most comes first, so that 80 columns show it.
    assert lines[-2].index("best error") < lines[-2].index("feasible")


def test_a_terminal_gets_a_table_and_anything_else_lines():
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    assert isinstance(display(Console(file=io.StringIO())), PlainLines)
    live = display(terminal)
    assert isinstance(live, LiveDisplay)
    run(live)
    shown = terminal.file.getvalue()
    assert "30 of 30" in shown
    assert "search: done" in shown


def test_clock():
    assert [clock(s) for s in (0, 59.6, 245, 3723)] == ["0:00", "1:00", "4:05", "1:02:03"]
