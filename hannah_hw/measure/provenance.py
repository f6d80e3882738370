"""What measurements were made with: hashes of sources and versions, which tell whether they still hold."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from hannah_hw.cost.coefficients import Provenance
from hannah_hw.errors import InputError
from hannah_hw.firmware.libraries import library
from hannah_hw.firmware.objects import KERNEL_FOLDER, included
from hannah_hw.firmware.toolchain import Compiler
from hannah_hw.measure.bench import core_of
from hannah_hw.measure.counted import emulator_version

_COMMENT: Final = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)


def kernel_hashes(compiler: Compiler) -> dict[str, str]:
    """Kernel class -> hash of the flags, the sources of its kernels and what these include.

    Comments and layout do not count.
    """
    flags = " ".join(compiler.settings.flags).encode()
    return {
        name: _hash(flags, {source for kernel in kernels for source in kernel.sources})
        for name, kernels in library(core_of(compiler)).items()
    }


def _hash(flags: bytes, sources: set[str]) -> str:
    files = {path for name in sources for path in included(KERNEL_FOLDER / name, (KERNEL_FOLDER,))}
    digest = hashlib.sha256(flags)
    for path in sorted(files):
        words = b" ".join(_COMMENT.sub(b" ", path.read_bytes()).split())
        digest.update(f"{path.name} {len(words)}\0".encode() + words)
    return digest.hexdigest()[:16]


def provenance(compiler: Compiler, *, seed: int, fitted: int, held_out: int) -> Provenance:
    """What a calibration is made with.

    Raises:
        InputError: The core has no cycle table, or no emulator that counts; or the compiler is one for the host.
        MissingExtraError: unicorn is not installed.
    """
    core = core_of(compiler)
    if core.timing is None or core.unicorn is None:
        raise InputError(f"{core.title} has no cycle table or no emulator that counts; choose another core")
    return Provenance(
        kernels=kernel_hashes(compiler),
        compiler=compiler.version,
        emulator=emulator_version(),
        timing=core.timing,
        seed=seed,
        fitted=fitted,
        held_out=held_out,
    )


def unchanged(before: Provenance, now: Provenance) -> set[str]:
    """Kernel classes whose measurements would be the same again."""
    if before.model_copy(update={"kernels": now.kernels}) != now:
        return set()
    return {name for name, value in now.kernels.items() if before.kernels.get(name) == value}
