"""``hannah-hw targets check`` of hosts: what was learned of a machine, and whether this one is it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hannah_hw.cli.output import table, write

if TYPE_CHECKING:
    from hannah_hw.targets import Host


def checked(target: Host) -> dict[str, Any]:
    """What a host's cost model is and how wrong, as JSON-able data.

    Raises:
        CatalogError: There is no such cost model.
        TargetError: It cannot be used.
    """
    import numpy as np

    from hannah_hw.host.facts import this_runtime
    from hannah_hw.host.pricing import learned

    model = learned(target)
    here = this_runtime(target.runtime.threads)
    laws = [
        {
            "law": name,
            "kernels": len(errors),
            "median_error": float(np.median(np.abs(errors))),
            "largest_error": float(np.abs(errors).max()),
        }
        for name, errors in model.errors.items()
    ]
    differs = {
        name: {"calibrated": there, "here": getattr(here, name)}
        for name, there in target.runtime.model_dump().items()
        if there != getattr(here, name)
    }
    return {
        "target": target.name,
        "file": target.origin,
        "cost_model": target.model.coefficients,
        "valid": True,
        "laws": laws,
        "run_s": model.run_seconds,
        "networks": model.interval.networks,
        "network_median_error": model.interval.median_error,
        "network_largest_error": model.interval.largest_error,
        "this_machine": not differs,
        "differs": differs,
    }


def render(target: Host, document: dict[str, Any]) -> None:
    """Write what `checked` found for a person."""
    write(
        f"{target.origin}: valid, cost model {document['cost_model']}, {len(document['laws'])} laws of kernels"
    )
    rows = [
        (law["law"], law["kernels"], f"{law['median_error']:.1%}", f"{law['largest_error']:.1%}")
        if law["kernels"] > 1
        else (law["law"], law["kernels"], None, None)
        for law in document["laws"]
    ]
    write("")
    table(("law", "kernels", "error of a left-out one: median", "largest"), rows, right=(1, 2, 3))
    write("")
    if document["networks"]:
        write(
            f"{document['networks']} whole networks: error {document['network_median_error']:.1%} (median), "
            f"{document['network_largest_error']:.1%} (largest)"
        )
    for name, found in document["differs"].items():
        write(f"warning: {name} is {found['calibrated']} in the file and {found['here']} on this machine")
