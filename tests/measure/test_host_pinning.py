"""Timing where the system does not let a thread choose its processor."""

import os

import pytest

from hannah_hw.measure.host_clock import interleaved, pinned


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be pinned on this system")
def test_a_system_that_does_not_let_threads_be_pinned_times_them_all_the_same(monkeypatch):
    asked = []

    def refuse(_thread, processors):
        asked.append(processors)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    runs = []
    interleaved([lambda: runs.append(len(runs))], rounds=4)
    assert asked
    assert len(runs) >= 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be pinned on this system")
def test_errors_inside_are_not_those_of_pinning():
    with pytest.raises(PermissionError, match="theirs"), pinned():
        raise PermissionError("theirs")
