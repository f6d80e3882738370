"""What TVM's own cost models see of a kernel: a vector for each store of its loops.

Runs in the worker process only.
"""

from __future__ import annotations

from typing import Any, Final

from hannah_hw.lowering.tvm.scheduling import schedule

#: Numbers of a vector.
LENGTH: Final = 164


def store_features(function: Any) -> list[list[float]]:
    """Features of a kernel as `hannah_hw.lowering.tvm.scheduling` schedules it.

    They are those of Ansor (Zheng et al., OSDI 2020, appendix B) as TVM extracts them (``PerStoreFeature``): arithmetic
    by kind, loops by how they run, five operands of the store with their bytes, lines and reuse, the curve of
    arithmetic intensity, allocation, and the loops around. Numbers n are given as log2(1 + n).

    Args:
        function: A ``tvm.tirx.PrimFunc`` as TVM's fusion leaves it.

    Returns:
        (stores, `LENGTH`), in the order of the code.
    """
    from tvm import IRModule, s_tir
    from tvm.s_tir.meta_schedule import _ffi_api
    from tvm.s_tir.meta_schedule.feature_extractor import PerStoreFeature
    from tvm.s_tir.meta_schedule.search_strategy import MeasureCandidate

    module = IRModule({"main": schedule(function)})
    # TVM's class of a context imports the intrinsics of all its targets first, which takes half a minute, and none of
    # them is here.
    context = _ffi_api.TuneContext(module, _target(), None, None, "main", 1, 1, None)
    candidate = MeasureCandidate(s_tir.Schedule(module), [])
    (features,) = PerStoreFeature().extract_from(context, [candidate])
    rows: list[list[float]] = features.numpy().tolist()
    return rows


def _target() -> Any:
    from tvm.target import Target

    return Target({"kind": "llvm", "num-cores": 1})
