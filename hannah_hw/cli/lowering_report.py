"""TVM's kernels beside ours, as ``estimate --lowering tvm`` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hannah_hw.cli.output import table, write
from hannah_hw.quantities import format_bytes

if TYPE_CHECKING:
    from hannah_hw.lowering.tvm import Lowered
    from hannah_hw.lowering.tvm.agreement import Group


def lowering_document(lowered: Lowered, groups: tuple[Group, ...]) -> dict[str, Any]:
    """The comparison as a document: bytes are TVM's, of float32; elements are those that both sides count."""
    from hannah_hw.lowering.tvm.process import VERSIONS

    return {
        "compiler": "tvm",
        "version": VERSIONS["apache-tvm"],
        "planned_bytes": lowered.planned_bytes,
        "groups": [
            {
                "kernels": group.kernels,
                "macs": group.macs,
                "elements_read": group.read,
                "elements_written": group.written,
                "compared": group.compared,
                "tvm": [
                    {
                        "name": kernel.name,
                        "nodes": kernel.nodes,
                        "macs": kernel.macs,
                        "read_bytes": kernel.read_bytes,
                        "write_bytes": kernel.write_bytes,
                        "weight_bytes": kernel.weight_bytes,
                        "scratch_bytes": kernel.scratch_bytes,
                        "loops": kernel.loops,
                    }
                    for kernel in group.tvm
                ],
            }
            for group in groups
        ],
    }


def render_lowering(lowered: Lowered, groups: tuple[Group, ...]) -> None:
    """The comparison as a table: one row a kernel of TVM, after the kernels of ours that it does the work of."""
    rows: list[tuple[object, ...]] = []
    for group in groups:
        ours = list(group.kernels)
        for index in range(max(len(ours), len(group.tvm))):
            own = ours[index] if index < len(ours) else ""
            if index < len(group.tvm):
                kernel = group.tvm[index]
                sizes = (
                    kernel.read_bytes,
                    kernel.write_bytes,
                    kernel.weight_bytes,
                    kernel.scratch_bytes,
                )
                rows.append((own, kernel.name, f"{kernel.macs:,}", *(format_bytes(size) for size in sizes)))
            else:
                rows.append((own, "", "", "", "", "", ""))
    table(("kernel", "in TVM", "MACs", "reads", "writes", "weights", "scratch"), rows, right=[2, 3, 4, 5, 6])
    different = [group for group in groups if group.fusion]
    unread = [name for group in groups if not group.compared for name in group.kernels]
    write("")
    write(
        f"TVM's sizes are of float32. MACs, weights and the elements between kernels agree with ours in "
        f"{sum(group.compared for group in groups)} of {len(groups)} groups; TVM fuses {len(different)} of them "
        "otherwise, where a row without a kernel of TVM is done by the one above it"
    )
    if unread:
        write(f"not compared, because nothing here reads them: {', '.join(unread)}")
    write(
        f"TVM plans {format_bytes(lowered.planned_bytes)} between kernels, without inputs, outputs and scratch"
    )
