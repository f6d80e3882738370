"""What pricing a population gives: arrays over candidates and kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.coefficients import CostModel
from hannah_hw.cost.report import CostReport
from hannah_hw.targets.schema import Target
from hannah_hw.workload.table import Workload

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """Prices of P candidates with K kernel slots on one target.

    Figures of a candidate with a kernel that the target cannot run are NaN.

    Attributes:
        target: The target.
        workload: What was priced.
        cost_model: The coefficients that were used.
        latency_s: (P,) seconds of one inference.
        energy_j: (P,) joules of one inference.
        ram_bytes: (P,) peak data memory.
        flash_bytes: (P,) program memory.
        cycles: (P,) core cycles of one inference.
        supported: (P,) whether every kernel can run.
        kernel_cycles: (P, K) core cycles, 0 for an inactive kernel, NaN for one that cannot run.
        kernel_classes: (P, K) index into the classes of the cost model's library, -1 where there is none.
        kernel_scratch: (P, K) bytes of scratch memory.
        failed_rules: (P, K) index into ``rules``, -1 where the kernel can run or is inactive.
        rules: Texts of the rules that can fail.
        arena_bytes: (P,) size of the arena of the buffers, as the target's planner packs it.
        scratch_bytes: (P,) what scratch memory takes beyond that: the largest scratch of a kernel, or by how much the
            arena grows where scratch lies in it.
        stack_bytes: (P,) deepest stack.
        runtime_ram_bytes: Static data of the runtime.
        weight_bytes: (P,) weights and biases.
        requantisation_bytes: (P,) multipliers, shifts, and whatever else kernels keep beside weights and biases.
        code_bytes: (P,) code and constants of the runtime and of the kernels used.
    """

    target: Target
    workload: Workload
    cost_model: CostModel
    latency_s: FloatArray
    energy_j: FloatArray
    ram_bytes: FloatArray
    flash_bytes: FloatArray
    cycles: FloatArray
    supported: NDArray[np.bool_]
    kernel_cycles: FloatArray
    kernel_classes: NDArray[np.int8]
    kernel_scratch: NDArray[np.int64]
    failed_rules: NDArray[np.int16]
    rules: tuple[str, ...]
    arena_bytes: NDArray[np.int64]
    scratch_bytes: FloatArray
    stack_bytes: NDArray[np.int64]
    runtime_ram_bytes: int
    weight_bytes: FloatArray
    requantisation_bytes: FloatArray
    code_bytes: FloatArray

    def __len__(self) -> int:
        return len(self.cycles)

    def report(self, index: int = 0) -> CostReport:
        """Everything about one candidate, by kernel and buffer."""
        from hannah_hw.cost.explain import explain

        return explain(self, index)
