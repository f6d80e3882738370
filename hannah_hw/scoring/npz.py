"""Reading and writing ``.npz`` files: arrays only, never a pickled object, never more than a limit."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.files import write_atomically


def read_npz(path: Path, limit: int, wanted: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; they cannot be written to.

    Args:
        path: The file.
        limit: Most bytes of all its members, uncompressed.
        wanted: Names that are read, where the file has them; None: all.

    Raises:
        DataError: It cannot be read, is larger, is damaged, or holds Python objects.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > limit:
                raise DataError(f"{total} bytes are more than the limit of {limit}", where=str(path))
            for member in archive.infolist():
                key = member.filename.removesuffix(".npy")
                if wanted is None or key in wanted:
                    with archive.open(member) as stream:
                        arrays[key] = _read_array(stream, member.file_size, f"{path} {key}")
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    except (EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(
            f"not a complete .npz file ({error}); write it with numpy.savez_compressed", where=str(path)
        ) from error
    return arrays


def npz_names(path: Path) -> list[str]:
    """Names of the arrays of a file that `read_npz` reads, sorted."""
    with zipfile.ZipFile(path) as archive:
        return sorted(name.removesuffix(".npy") for name in archive.namelist())


def _read_array(stream: IO[bytes], size: int, where: str) -> NDArray[Any]:
    """One member of an .npz; its header must agree with the bytes that are there."""
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise DataError(f"array format {version} is not supported", where=where)
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise DataError("holds pickled Python objects, which are never loaded", where=where)
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize > size:
            raise DataError(f"the header promises shape {shape}, the file is shorter", where=where)
        values = np.frombuffer(stream.read(), dtype=dtype, count=count)
    except (ValueError, SyntaxError, tokenize.TokenError) as error:
        raise DataError(f"not a NumPy array: {error}", where=where) from error
    return values.reshape(shape, order="F" if fortran else "C")


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays under any names, whole or not at all; equal arrays give equal files.

    Raises:
        OSError: It cannot be written.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, values in arrays.items():
            # Without a date of its own a member has that of 1980.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(values, order="C"), allow_pickle=False)
    write_atomically(path, content.getvalue())
