"""What a shell offers for arguments when Tab is pressed: names of the catalogues, and files that a verb takes.

Typer writes the shells' scripts (``hannah-hw --install-completion``). Where nothing of this begins as what was typed,
the shell completes paths as it always does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from hannah_hw import catalog
from hannah_hw.cores import CORES

#: Most files that are offered, and that are looked at.
_MOST_FILES: Final = 200
_MOST_SEEN: Final = 5_000

#: Given what was typed of a word, the words that it may become.
Completer = Callable[[str], list[str]]


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _files(incomplete: str, *suffixes: str) -> list[str]:
    """Files of some suffixes in the folder that is being typed; none whose names need quotes in a shell."""
    head, slash, _ = incomplete.rpartition("/")
    try:
        seen = list(islice(Path(head or slash or ".").iterdir(), _MOST_SEEN))
    except OSError:
        return []
    found = (f"{head}{slash}{path.name}" for path in seen if path.suffix in suffixes)
    return sorted(word for word in _beginning(found, incomplete) if word.isprintable() and " " not in word)[
        :_MOST_FILES
    ]


def targets(incomplete: str) -> list[str]:
    """Targets of the catalogue, and YAML files."""
    return [*_beginning(catalog.names("targets"), incomplete), *_files(incomplete, ".yaml")]


def spaces(incomplete: str) -> list[str]:
    """Spaces of the catalogue, and files that may be some."""
    return [
        *_beginning(catalog.names("search_spaces"), incomplete),
        *_files(incomplete, *catalog.KINDS["search_spaces"]),
    ]


def configurations(incomplete: str) -> list[str]:
    """Examples, and YAML files."""
    return [*_beginning(catalog.names("examples"), incomplete), *_files(incomplete, ".yaml", ".yml")]


def data(incomplete: str) -> list[str]:
    """Built-in data sets, .npz and CSV files."""
    return [*_beginning(catalog.DATA_SETS, incomplete), *_files(incomplete, ".npz", ".csv")]


def models(incomplete: str) -> list[str]:
    """ONNX files."""
    return _files(incomplete, ".onnx")


def tables(incomplete: str) -> list[str]:
    """CSV files."""
    return _files(incomplete, ".csv", ".gz")


def cores(incomplete: str) -> list[str]:
    """Processor cores, and this machine."""
    return _beginning((*CORES, "host"), incomplete)


def runs(incomplete: str) -> list[str]:
    """Run directories in ``runs`` and here."""
    seen = (
        path for folder in ("runs", ".") for path in islice(Path(folder).glob("*/config.yaml"), _MOST_SEEN)
    )
    found = sorted({path.parent.as_posix() for path in seen})
    return [word for word in _beginning(found, incomplete) if word.isprintable() and " " not in word]


def either(*completers: Completer) -> Completer:
    """All that some of the others offer."""

    def offered(incomplete: str) -> list[str]:
        return list(dict.fromkeys(word for completer in completers for word in completer(incomplete)))

    return offered


def words(*choices: str) -> Completer:
    """Some words."""

    def offered(incomplete: str) -> list[str]:
        return _beginning(choices, incomplete)

    return offered
