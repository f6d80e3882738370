"""TVM's kernels beside ours, as ``estimate --lowering tvm`` shows them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hannah_hw.cli.options import refuse_options
from hannah_hw.cli.output import table, write
from hannah_hw.errors import InputError
from hannah_hw.quantities import format_bytes

if TYPE_CHECKING:
    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.lowering.tvm import Lowered
    from hannah_hw.lowering.tvm.agreement import Group
    from hannah_hw.lowering.tvm.assembly import AssembledKernel
    from hannah_hw.lowering.tvm.llvm_targets import LlvmTarget


@dataclass(frozen=True)
class SecondView:
    """A model as TVM lowers it.

    Attributes:
        lowered: Its kernels.
        groups: The same beside ours.
        processor: What code was made for, where it was.
        assembled: The code of each kernel.
    """

    lowered: Lowered
    groups: tuple[Group, ...]
    processor: LlvmTarget | None = None
    assembled: tuple[AssembledKernel, ...] = ()


def assembly_processor(
    lowering: str | None, assembly: Path | None, llvm: str | None, target: str
) -> LlvmTarget | None:
    """The processor that code is wanted for; None where none is.

    Args:
        lowering: The option of that name, checked.
        assembly: The option of that name.
        llvm: The option of that name.
        target: Name or path of the target, whose core is meant where no processor is named.

    Raises:
        InputError: The options do not fit together, or there is no such processor.
    """
    from hannah_hw.lowering.tvm.llvm_targets import LLVM_TARGETS, llvm_target
    from hannah_hw.targets import Microcontroller, load_target

    if lowering is None:
        refuse_options({"--assembly": assembly, "--llvm": llvm}, "it is for --lowering tvm")
    if assembly is None:
        refuse_options({"--llvm": llvm}, "it is for --assembly DIR")
        return None
    chip = load_target(target)
    core = chip.core if isinstance(chip, Microcontroller) else ""
    if llvm is None and core not in LLVM_TARGETS:
        raise InputError(
            f"{chip.name} has no core that code could be made for; name a processor",
            where="--llvm",
            allowed=LLVM_TARGETS,
        )
    return llvm_target(llvm or core)


def second_view(
    model: Path,
    shapes: GivenShapes | None,
    features: bool,
    processor: LlvmTarget | None,
    assembly: Path | None,
) -> SecondView:
    """Have TVM lower a model, and write its code where it is wanted.

    Args:
        model: The ONNX file.
        shapes: Of its inputs, where the file leaves them open.
        features: Whether TVM's features of its kernels are wanted.
        processor: What code is wanted for.
        assembly: Where it goes.
    """
    from hannah_hw.estimation import assemble_with_tvm, lower_with_tvm
    from hannah_hw.lowering.tvm import TvmWorker
    from hannah_hw.lowering.tvm.assembly import TIMEOUT_S

    if processor is None or assembly is None:
        return SecondView(*lower_with_tvm(str(model), shapes=shapes, features=features))
    with TvmWorker(timeout_s=TIMEOUT_S) as worker:
        lowered, groups = lower_with_tvm(str(model), shapes=shapes, features=features, worker=worker)
        assembled = assemble_with_tvm(str(model), processor.name, assembly, shapes=shapes, worker=worker)
    return SecondView(lowered, groups, processor, assembled)


def lowering_document(view: SecondView) -> dict[str, Any]:
    """The comparison as a document: bytes are TVM's, of float32; elements are those that both sides count."""
    from hannah_hw.lowering.tvm.process import VERSIONS

    return {
        "compiler": "tvm",
        "version": VERSIONS["apache-tvm"],
        "planned_bytes": view.lowered.planned_bytes,
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
                        **({"features": kernel.features} if kernel.features else {}),
                    }
                    for kernel in group.tvm
                ],
            }
            for group in view.groups
        ],
        **_assembly_document(view),
    }


def _assembly_document(view: SecondView) -> dict[str, Any]:
    if view.processor is None:
        return {}
    rows = [
        asdict(row) | {"assembly": str(row.assembly), "object_file": str(row.object_file)}
        for row in view.assembled
    ]
    return {"processor": view.processor.name, "assembly": rows}


def render_lowering(view: SecondView) -> None:
    """The comparison as a table: one row a kernel of TVM, after the kernels of ours that it does the work of."""
    lowered, groups = view.lowered, view.groups
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
    if view.processor is not None:
        _render_assembly(view.processor, view.assembled)


def _render_assembly(processor: LlvmTarget, assembled: tuple[AssembledKernel, ...]) -> None:
    write("")
    rows = [
        (
            str(row.assembly),
            f"{row.instructions:,}",
            format_bytes(row.code_bytes),
            format_bytes(row.scratch_bytes),
        )
        for row in assembled
    ]
    table((f"code for {processor.title}", "instructions", "code", "scratch"), rows, right=[1, 2, 3])
    total = format_bytes(sum(row.code_bytes for row in assembled))
    write(
        f"{total} of code in {len(assembled)} kernels, without what it calls of the mathematical library and of the "
        "compiler's own; beside each .s is the .o"
    )
