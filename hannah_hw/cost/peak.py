"""Where the RAM of a network goes at its peak: during which kernel, and to which buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hannah_hw.cost.report import BufferRow, CostReport, Memory
from hannah_hw.quantities import format_bytes


@dataclass(frozen=True)
class Peak:
    """The kernel that needs most RAM, and what takes it.

    Attributes:
        kernel: Its name.
        bytes: RAM of the network.
        buffers: Name -> bytes of what is live while it runs, the largest first. A name is that of the kernel that wrote
            the buffer, or of an input.
        shared_bytes: Of these, what lies on memory of another one, because a result is written over its operand.
        gap_bytes: Between them, where the planner leaves some.
        scratch_bytes: Scratch memory of kernels.
        stack_bytes: Stack.
        runtime_bytes: Static data of the runtime.
    """

    kernel: str
    bytes: int
    buffers: dict[str, int]
    shared_bytes: int
    gap_bytes: int
    scratch_bytes: int
    stack_bytes: int
    runtime_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data."""
        return asdict(self)

    def __str__(self) -> str:
        """The sum in words: ``16.0 KiB of conv1 + 24.0 KiB of conv2 + 420 B stack``."""
        parts = [f"{format_bytes(size)} of {name}" for name, size in self.buffers.items()]
        if self.shared_bytes:
            parts[-1] += f" (written in place, which saves {format_bytes(self.shared_bytes)})"
        named = (
            ("gaps", self.gap_bytes),
            ("scratch", self.scratch_bytes),
            ("stack", self.stack_bytes),
            ("runtime", self.runtime_bytes),
        )
        return " + ".join([*parts, *(f"{format_bytes(size)} {name}" for name, size in named if size)])


def peak(report: CostReport) -> Peak | None:
    """The peak of a network that the target runs; None where the plan of its memory is not known.

    That is so of accelerators whose figure is another than the plan of the buffers in one arena.
    """
    memory = report.memory
    if memory is None or memory.total is None or memory.scratch is None or not report.kernels:
        return None
    if memory.total != memory.arena + memory.scratch + memory.stack + memory.runtime:
        return None
    live = [
        [buffer for buffer in memory.buffers if buffer.first <= k <= buffer.last]
        for k in range(len(report.kernels))
    ]
    scratch = _scratch(report, memory, live)
    needs = [_top(buffers) + size for buffers, size in zip(live, scratch, strict=True)]
    at = max(range(len(needs)), key=lambda k: (needs[k], _covered(live[k])))
    covered = _covered(live[at])
    return Peak(
        kernel=report.kernels[at].name,
        bytes=memory.total,
        buffers={b.name: b.bytes for b in sorted(live[at], key=lambda b: -b.bytes)},
        shared_bytes=sum(b.bytes for b in live[at]) - covered,
        gap_bytes=memory.total - covered - scratch[at] - memory.stack - memory.runtime,
        scratch_bytes=scratch[at],
        stack_bytes=memory.stack,
        runtime_bytes=memory.runtime,
    )


def _scratch(report: CostReport, memory: Memory, live: Sequence[Sequence[BufferRow]]) -> list[int]:
    """Scratch bytes while each kernel runs: its own where they lie above the buffers, else the largest of all."""
    own = [row.scratch_bytes or 0 for row in report.kernels]
    above = max(_top(buffers) + size for buffers, size in zip(live, own, strict=True))
    total = memory.arena + (memory.scratch or 0)
    return own if above == total else [memory.scratch or 0] * len(own)


def _top(buffers: Sequence[BufferRow]) -> int:
    return max((buffer.offset + buffer.bytes for buffer in buffers), default=0)


def _covered(buffers: Sequence[BufferRow]) -> int:
    """Bytes of the arena that some buffers take together."""
    total, end = 0, 0
    for buffer in sorted(buffers, key=lambda b: b.offset):
        total += max(buffer.offset + buffer.bytes - max(end, buffer.offset), 0)
        end = max(end, buffer.offset + buffer.bytes)
    return total
