"""Which figures a target would have to give for its energy to be known."""

from __future__ import annotations

from hannah_hw.targets import Accelerator


def unknown_energies(target: Accelerator) -> list[str]:
    """Fields of the target's file that would say what energy is used and are not there."""
    missing = []
    if target.array is not None and target.array.mac_pj is None:
        missing.append("array.mac_pj")
    for memory in target.memories:
        missing += [
            f"{field} of the memory {memory.name}"
            for field, figure in (("read_pj", memory.read_pj), ("write_pj", memory.write_pj))
            if figure is None
        ]
    if target.vector is not None and target.vector.op_pj is None:
        missing.append("vector.op_pj")
    if target.cpu_fallback is not None and target.cpu_fallback.active_w is None:
        missing.append("cpu_fallback.active_w")
    return missing
