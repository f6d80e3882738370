"""The table that every cost model reads, how it is built, and how its buffers share memory."""

from hannah_hw.workload.fusion import Step, fuse
from hannah_hw.workload.program import WorkloadProgram
from hannah_hw.workload.rows import Row
from hannah_hw.workload.table import ACTIVATIONS, KERNEL_COLUMNS, KERNEL_KINDS, Buffers, Kernels, Workload

__all__ = [
    "ACTIVATIONS",
    "KERNEL_COLUMNS",
    "KERNEL_KINDS",
    "Buffers",
    "Kernels",
    "Row",
    "Step",
    "Workload",
    "WorkloadProgram",
    "fuse",
]
