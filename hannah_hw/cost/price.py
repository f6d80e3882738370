"""The front end of pricing: a workload and a target in, costs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hannah_hw.cost.accelerators.pricing import price_accelerator
from hannah_hw.cost.costs import WorkloadCosts
from hannah_hw.cost.kernels import price_kernels
from hannah_hw.errors import InputError
from hannah_hw.targets.host import Host
from hannah_hw.targets.schema import Target
from hannah_hw.workload.table import Workload

#: Model kind of a target -> what prices it.
PRICERS: Final[Mapping[str, Callable[[Workload, Target], WorkloadCosts]]] = {
    "kernels": price_kernels,
    "loop_nest": price_accelerator,
    "closed_form": price_accelerator,
    "block": price_accelerator,
}


def price(workload: Workload, target: Target) -> WorkloadCosts:
    """Price a population of candidates on a target.

    Args:
        workload: P candidates.
        target: The target.

    Raises:
        CatalogError: The target names a cost model that does not exist.
        TargetError: The cost model cannot be used.
        InputError: The target is a host: it prices the kernels of a graph, which a Workload no longer is.
    """
    if isinstance(target, Host):
        raise InputError(
            "what ONNX Runtime makes of a graph is priced here, and a Workload is none: give `estimate` the candidate "
            "or its ONNX file, or `estimate_population` its space",
            where=target.label,
        )
    return PRICERS[target.kind](workload, target)
