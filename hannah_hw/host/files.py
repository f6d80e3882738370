"""Whether the files of a model are whole and fit into memory, before a runtime is asked to load them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hannah_hw.errors import ModelError
from hannah_hw.lowering.external import external_bytes
from hannah_hw.quantities import format_bytes

#: The largest message that protobuf can read, and so the largest .onnx file.
PROTOBUF_BYTES: Final = (1 << 31) - 1

_MEMORY: Final = Path("/proc/meminfo")
_CONTROL_GROUP: Final = Path("/sys/fs/cgroup")


def check_files(path: Path) -> None:
    """Refuse a model whose files are missing, cut off, or larger than memory.

    What is no ONNX file at all is left to the runtime to refuse.

    Raises:
        ModelError: The file is missing or too large for protobuf; external data is missing or too short; or its
            weights do not fit into the memory that is free.
    """
    import onnx
    from google.protobuf.message import DecodeError

    where = str(path)
    if not path.is_file():
        raise ModelError(
            "is a folder; give an .onnx file" if path.is_dir() else "there is no such file", where=where
        )
    size = path.stat().st_size
    if size > PROTOBUF_BYTES:
        raise ModelError(
            f"the file has {format_bytes(size)}, and ONNX files end at 2 GiB; export it with external data",
            where=where,
        )
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        return
    except OSError as error:
        raise ModelError(f"cannot read the file: {error.strerror or error}", where=where) from error
    needed = size + external_bytes(model, path)
    free = free_memory()
    if free is not None and needed > free:
        raise ModelError(
            f"its weights take {format_bytes(needed)}, and {format_bytes(free)} of memory are free; "
            "take a machine with more memory or a smaller model",
            where=where,
        )


def free_memory() -> int | None:
    """Bytes that a process can take: what is free of the machine, at most its control group's limit.

    None where the system does not say.
    """
    found: list[int] = []
    try:
        lines = _MEMORY.read_text(encoding="utf-8").splitlines()
        found.extend(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        limit = (_CONTROL_GROUP / "memory.max").read_text(encoding="utf-8").strip()
        if limit.isdigit():
            found.append(int(limit))  # what the group uses now is partly a cache that makes room
    except OSError:
        pass  # another system, or no control group; what was found so far holds
    return min(found, default=None)
