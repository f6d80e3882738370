"""The peak of a process counts what was really touched, and what was given back."""

import resource
import subprocess
import sys

import numpy as np
import pytest

from hannah_hw.search.memory import OVER_MEMORY, peak_resident

STEP = 256 << 20


def test_the_peak_is_no_more_than_the_system_says_and_stays_when_memory_is_given_back():
    before = peak_resident()
    # Threads add to what the system counts in batches; and it counts what was held before an exec.
    assert before <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (8 << 20)
    block = np.ones(before + STEP, np.uint8)
    assert peak_resident() >= block.nbytes
    del block
    assert peak_resident() >= before + STEP


@pytest.mark.parametrize(("touched", "status"), [(1, OVER_MEMORY), (0, 0)])
def test_reserved_memory_does_not_count_until_it_is_touched(touched, status):
    code = (
        "import mmap\n"
        "from hannah_hw.search.memory import end_above, peak_resident\n"
        "limit = peak_resident() + (64 << 20)\n"
        "room = mmap.mmap(-1, 512 << 20)\n"
        f"room.write(bytes({touched} * (128 << 20)))\n"
        "end_above(limit)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
