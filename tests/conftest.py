"""What every test relies on."""

import os
import signal

from hypothesis import settings

# The examples are the same in every run, and a busy machine is no failure; HYPOTHESIS_PROFILE=default draws new ones.
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure() -> None:
    """Let child processes be interrupted.

    A shell starts background jobs with SIGINT ignored, and a process hands that on to its children: the tests
    that press Ctrl-C in a child would wait in vain.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
