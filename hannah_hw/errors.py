"""Every error the package raises on purpose.

::

    HannahError
    ├── InputError            what the user gave is wrong; the command line exits with 2
    │   ├── ConfigError         a search configuration
    │   ├── TargetError         a target description or its cost coefficients
    │   ├── SpaceError          a search space or an assignment to it
    │   ├── ModelError          an ONNX file
    │   ├── DataError           a data set
    │   └── CatalogError        a name or a path that leads nowhere
    ├── UnsupportedError      an operator or a shape that a target or a lowering has no rule for
    ├── EvaluationError       one candidate failed; a search records it and goes on
    │   └── MeasurementError    a network could not be measured, or what was measured computes something else
    ├── RunError              a run as a whole failed; the command line exits with 1
    ├── MissingToolError      a program, such as a compiler, is not installed
    └── MissingExtraError     an optional package is not installed (also an ImportError)

A message says what was given, what is allowed and what to do next.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType


class HannahError(Exception):
    """Base of every error raised on purpose."""


class InputError(HannahError):
    """Something the user gave is wrong.

    Args:
        message: What is wrong and what to do.
        where: ``file:line field`` or as much of it as is known.
        allowed: What would have been accepted.
        given: The offending value, for the nearest-name hint.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        allowed: Iterable[str] = (),
        given: str = "",
    ) -> None:
        self.message = message
        self.where = where
        self.allowed = tuple(allowed)
        self.given = given
        parts = [f"{where}: {message}" if where else message]
        if self.allowed:
            parts.append(f"allowed: {', '.join(self.allowed)}")
        nearest = difflib.get_close_matches(given, self.allowed, n=1) if given else []
        if nearest:
            parts.append(f"did you mean {nearest[0]!r}?")
        super().__init__("; ".join(parts))


class ConfigError(InputError):
    """A search configuration is wrong."""


class TargetError(InputError):
    """A target description or its cost coefficients are wrong."""


class SpaceError(InputError):
    """A search space, or an assignment to one, is wrong.

    Args:
        message: See `InputError`.
        code: A short stable name of the mistake, such as ``E_WIDTH``; ends the message in brackets.
        where: See `InputError`.
        allowed: See `InputError`.
        given: See `InputError`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        where: str = "",
        allowed: Iterable[str] = (),
        given: str = "",
    ) -> None:
        self.code = code
        text = f"{message} [{code}]" if code else message
        super().__init__(text, where=where, allowed=allowed, given=given)
        self.message = message


class ModelError(InputError):
    """An ONNX file cannot be used."""


class DataError(InputError):
    """A data set cannot be used."""


class CatalogError(InputError):
    """A name or a path leads nowhere."""


class UnsupportedError(HannahError):
    """An operator or a shape that a target or a lowering has no rule for."""


class EvaluationError(HannahError):
    """One candidate could not be evaluated.

    Args:
        message: What happened.
        kind: A short stable name of the reason (``timeout``, ``crash``, ``diverged``, ...), by which
            a report groups failures.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        self.kind = kind
        super().__init__(message)


class MeasurementError(EvaluationError):
    """A network could not be measured, or what was measured computes something else; there is no figure then."""


class RunError(HannahError):
    """A run as a whole failed."""


class MissingToolError(HannahError):
    """A program, such as a compiler or an emulator, is not installed."""


class MissingExtraError(HannahError, ImportError):
    """Optional packages are not installed.

    Args:
        package: One of them.
        extra: The extra of ``hannah-hw`` that brings it.
        others: Package -> extra, of those that are missing besides.

    Attributes:
        package: The first that is missing.
        extra: The extras that bring all of them, separated by commas.
    """

    def __init__(self, package: str, extra: str, others: Mapping[str, str] | None = None) -> None:
        missing = {package: extra, **(others or {})}
        self.package = package
        self.extra = ",".join(dict.fromkeys(missing.values()))
        names = ", ".join(map(repr, missing))
        what, which = ("package", "is") if len(missing) == 1 else ("packages", "are")
        super().__init__(
            f"this needs the {what} {names}, which {which} not installed; "
            f"install {'it' if which == 'is' else 'them'} with: pip install 'hannah-hw[{self.extra}]'"
        )


def raised_at(error: BaseException, file: Path | None = None) -> str:
    """``file:line`` where code outside of this package raised an error; empty where it did not.

    Args:
        error: The error.
        file: The last line of this file that led to it is meant.
    """
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}"
    own = str(Path(__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (frame.filename == str(file) if file is not None else not frame.filename.startswith((own, "<")))
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def require(package: str, extra: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Args:
        package: The module to import.
        extra: The extra of ``hannah-hw`` that installs it.

    Raises:
        MissingExtraError: The package is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] == root:
            raise MissingExtraError(root, extra) from error
        raise


def require_all(needs: Mapping[str, str]) -> None:
    """Find optional packages without importing them, and name all that are missing at once.

    Args:
        needs: Module at the top of a package -> the extra that installs it.

    Raises:
        MissingExtraError: At least one is not installed.
    """
    missing = [(name, extra) for name, extra in needs.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(*missing[0], dict(missing[1:]))
