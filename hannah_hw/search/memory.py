"""A limit on the memory of a process: how much it has held, and its end when that was too much.

What counts is the peak of the resident set, the memory that is really there, libraries included. A limit on the
address space (``RLIMIT_AS``) is no measure of it: training frameworks reserve gigabytes that they never touch. The
system records the peak, so that no moment is missed; a thread looks at it meanwhile, to end what goes on growing.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Final

from hannah_hw.errors import ConfigError

#: Exit status of a process that ended itself because it held too much.
OVER_MEMORY: Final = 86
#: Seconds between two looks at the peak.
_INTERVAL: Final = 0.02
_STATUS: Final = Path("/proc/self/status")
_PEAK: Final = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def peak_resident() -> int:
    """Bytes that this process held in memory when it held most.

    Raises:
        ConfigError: The system does not say.
    """
    if _STATUS.is_file():
        found = _PEAK.search(_STATUS.read_text())
        if found is not None:
            return int(found[1]) * 1024
    if sys.platform == "darwin":
        import resource

        # In bytes there; on Linux the same call would count what the parent held before it started this process.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    raise ConfigError(
        "this system does not say how much memory a process holds; remove the limit", where="search.memory"
    )


def end_above(limit: int) -> None:
    """End this process, with the status `OVER_MEMORY`, if it ever held more than so many bytes."""
    if peak_resident() > limit:
        os._exit(OVER_MEMORY)


def watch(limit: int) -> None:
    """Look at the peak from now on, and end this process as soon as it held more than so many bytes."""

    def look() -> None:
        while True:
            end_above(limit)
            time.sleep(_INTERVAL)

    threading.Thread(target=look, daemon=True).start()
