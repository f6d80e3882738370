"""What pricing a population gives: arrays over candidates, and on chips over kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.coefficients import CostModel
from hannah_hw.cost.report import CostReport
from hannah_hw.targets import Microcontroller, Target
from hannah_hw.workload.table import Workload

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Prices of P candidates on one target.

    Figures of a candidate that the target cannot run are NaN, and figures that the target's description does not give.

    Attributes:
        target: The target.
        latency_s: (P,) seconds of one inference.
        energy_j: (P,) joules of one inference.
        ram_bytes: (P,) peak data memory.
        flash_bytes: (P,) program memory, or that of the weights.
        area_mm2: Area of the chip that the target describes, square millimetres; NaN: not known.
        supported: (P,) whether every kernel can run.
    """

    target: Target
    latency_s: FloatArray
    energy_j: FloatArray
    ram_bytes: FloatArray
    flash_bytes: FloatArray
    area_mm2: float = float("nan")
    supported: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.latency_s)

    @property
    def latency_band(self) -> FloatArray:
        """(P,) relative half width of the 90 % interval of each candidate's latency; NaN: the target gives none."""
        return np.full(len(self), np.nan)

    def report(self, index: int = 0) -> CostReport:
        """Everything about one candidate, by kernel and buffer.

        Raises:
            IndexError: There is no such candidate.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class WorkloadCosts(Costs):
    """Prices on a chip, of the kernels of a Workload: P candidates with K kernel slots.

    Attributes:
        workload: What was priced.
        cycles: (P,) clock cycles of one inference.
        kernel_cycles: (P, K) clock cycles, 0 for an inactive kernel, NaN for one that cannot run.
        failed_rules: (P, K) index into ``rules``, -1 where the kernel can run or is inactive.
        rules: Texts of the rules that can fail.
    """

    workload: Workload
    cycles: FloatArray
    kernel_cycles: FloatArray
    failed_rules: NDArray[np.int16] | NDArray[np.int32]
    rules: tuple[str, ...]

    def over_kernels(self, metric: str) -> FloatArray:
        """(P,) sum over kernels that a figure is proportional to, if it is one.

        Args:
            metric: ``latency_s``, ``energy_j`` or ``cycles``.
        """
        total: FloatArray = self.kernel_cycles.sum(axis=1)
        return total


@dataclass(frozen=True, kw_only=True)
class KernelCosts(WorkloadCosts):
    """Prices on a microcontroller that runs a library of kernels.

    Attributes:
        target: The target.
        cost_model: The coefficients that were used.
        kernel_classes: (P, K) index into the classes of the cost model's library, -1 where there is none.
        kernel_scratch: (P, K) bytes of scratch memory.
        arena_bytes: (P,) size of the arena of the buffers, as the target's planner packs it.
        scratch_bytes: (P,) what scratch memory takes beyond that: the largest scratch of a kernel, or by how much the
            arena grows where scratch lies in it.
        stack_bytes: (P,) deepest stack.
        runtime_ram_bytes: Static data of the runtime.
        weight_bytes: (P,) weights and biases.
        requantisation_bytes: (P,) multipliers, shifts, and whatever else kernels keep beside weights and biases.
        code_bytes: (P,) code and constants of the runtime and of the kernels used.
    """

    target: Microcontroller
    cost_model: CostModel
    kernel_classes: NDArray[np.int8]
    kernel_scratch: NDArray[np.int64]
    arena_bytes: NDArray[np.int64]
    scratch_bytes: FloatArray
    stack_bytes: NDArray[np.int64]
    runtime_ram_bytes: int
    weight_bytes: FloatArray
    requantisation_bytes: FloatArray
    code_bytes: FloatArray

    def report(self, index: int = 0) -> CostReport:
        """Everything about one candidate, by kernel and buffer."""
        from hannah_hw.cost.explain import explain

        return explain(self, index)
