"""``hannah-hw export MODEL.onnx --runtime tvm``: float32 models as C projects with kernels of TVM."""

from __future__ import annotations

from pathlib import Path

from hannah_hw.cli.export_c import HOST, Exported, Options, exported, project_folder
from hannah_hw.cores import core_named
from hannah_hw.errors import EvaluationError, InputError


def float_project_of(model: Path, out: Path, options: Options) -> Exported:
    """Write the project of a float32 model into a folder of its own.

    Args:
        model: An ONNX file.
        out: Where that folder is made.
        options: The options.

    Raises:
        InputError: It is for this machine, or the model is quantised.
        ModelError: The file cannot be read.
        UnsupportedError: TVM has no operator of the model.
        EvaluationError: It does not fit into the target's memories, or TVM failed.
        RunError: A file cannot be written, or the compiler failed.
        MissingToolError: There is no compiler to build it with.
        MissingExtraError: TVM is not installed.
    """
    from hannah_hw.emulation.elf import elf_sizes
    from hannah_hw.firmware.building import build
    from hannah_hw.firmware.floating import generate_float, read_float_network
    from hannah_hw.lowering.tvm import TvmWorker
    from hannah_hw.targets import load_target, microcontroller

    if options.core == HOST:
        raise InputError(
            "float32 projects are for microcontrollers; on this machine, take `measure --runtime tvm`",
            where="--core",
        )
    target = (
        microcontroller(load_target(options.target), "a C project") if options.target is not None else None
    )
    core = core_named(options.core or "") if options.core is not None or target is None else target.processor
    with TvmWorker() as worker:
        network = read_float_network(model, worker, shapes=options.shapes)
    try:
        project = generate_float(
            network,
            core,
            folder=project_folder(model, out),
            target=target,
            name=options.name if options.name is not None else model.stem,
        )
        built = build(project, options.compiler, emulated=False) if options.build else None
    except EvaluationError as error:
        raise EvaluationError(f"{model}: {error}", kind=error.kind) from error
    sizes = elf_sizes(built.elf) if built is not None else None
    return exported(model, project, built, sizes, network.arena_bytes, network.constant_bytes)
