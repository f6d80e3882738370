"""A model's kernels as TVM's worker compiles them for a processor: files, and how large the code is."""

from __future__ import annotations

import os
import re
import shutil
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hannah_hw.errors import InputError
from hannah_hw.lowering.tvm.llvm_targets import LlvmTarget
from hannah_hw.lowering.tvm.lowered import Lowered

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.lowering.tvm.process import TvmWorker

#: Seconds that the code of one model may take; a tenth of one a kernel is usual.
TIMEOUT_S: Final = 300.0
#: A line of assembly that is an instruction: not a label, a directive or a comment of any of the architectures.
_INSTRUCTION: Final = re.compile(r"^\s+[a-z][\w.]*(\s|$)", re.MULTILINE | re.ASCII)
#: Flag of a section that holds instructions, ``SHF_EXECINSTR`` of the ELF specification.
_EXECUTABLE: Final = 4


@dataclass(frozen=True)
class AssembledKernel:
    """The code of one kernel; calls of the same kernel share it.

    Attributes:
        name: Of TVM's kernel.
        assembly: The file with its assembly.
        object_file: The file with its machine code.
        instructions: Instructions in the assembly, each once however often it runs.
        code_bytes: Bytes of machine code, with the constants that lie among it.
        scratch_bytes: Of the buffers that it is given after its operands.
    """

    name: str
    assembly: Path
    object_file: Path
    instructions: int
    code_bytes: int
    scratch_bytes: int


def assemble(
    model: ModelProto, target: LlvmTarget, folder: str | os.PathLike[str], worker: TvmWorker
) -> tuple[AssembledKernel, ...]:
    """Have TVM compile a model's kernels, each as a plain function.

    A function takes the addresses of the kernel's operands, of its results and of its scratch buffers. It may call
    functions of C's mathematical library and of the compiler's run-time library.

    Args:
        model: Of float32, with shapes; see `hannah_hw.lowering.OnnxModel.model`.
        target: The processor.
        folder: Where the files go; made where it is missing. Files of these names are replaced.
        worker: TVM's process.

    Returns:
        A row a kernel, in the order in which they first run.

    Raises:
        InputError: The folder cannot be written to.
        UnsupportedError: TVM has no operator of the model.
        EvaluationError: TVM crashed, took too long or failed.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as scratch:
        answer = worker.request(
            "assemble",
            model,
            f"write code of {target.title} for",
            target=target.options(),
            folder=scratch,
        )
        try:
            shutil.copytree(scratch, folder, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise InputError(f"cannot be written to: {error}", where=str(folder)) from error
    rows = []
    for name in dict.fromkeys(kernel.name for kernel in Lowered.from_dict(answer).kernels if not kernel.view):
        assembly, object_file = folder / f"{name}.s", folder / f"{name}.o"
        rows.append(
            AssembledKernel(
                name,
                assembly,
                object_file,
                instructions=len(_INSTRUCTION.findall(assembly.read_text(encoding="utf-8"))),
                code_bytes=code_bytes(object_file.read_bytes()),
                scratch_bytes=sum(answer["scratch"][name]),
            )
        )
    return tuple(rows)


def code_bytes(content: bytes) -> int:
    """Bytes of the sections of an ELF file that hold instructions.

    Args:
        content: A little-endian file; offsets are those of the ELF specification, of 32 and of 64 bits.
    """
    wide = content[4] == 2  # ELFCLASS64
    word = "<Q" if wide else "<I"
    (table,) = struct.unpack_from(word, content, 0x28 if wide else 0x20)
    length, count = struct.unpack_from("<HH", content, 0x3A if wide else 0x2E)
    total = 0
    for start in range(table, table + length * count, length):
        (flags,) = struct.unpack_from(word, content, start + 8)
        if flags & _EXECUTABLE:
            total += struct.unpack_from(word, content, start + (0x20 if wide else 0x14))[0]
    return total
