"""What every test relies on."""

import signal


def pytest_configure() -> None:
    """Let child processes be interrupted.

    A shell starts background jobs with SIGINT ignored, and a process hands that on to its children: the tests
    that press Ctrl-C in a child would wait in vain.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
