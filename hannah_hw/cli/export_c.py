"""``hannah-hw export --to c``: models as C projects."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hannah_hw.cli.output import say
from hannah_hw.cores import CORES, Core, core_named
from hannah_hw.errors import EvaluationError, InputError, UnsupportedError
from hannah_hw.quantities import format_bytes

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.emulation.elf import Sizes
    from hannah_hw.firmware.building import Built
    from hannah_hw.firmware.floating.project import FloatProject
    from hannah_hw.firmware.project import Project
    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.report import ReportData
    from hannah_hw.targets import Microcontroller

#: The name of this machine among cores.
HOST: Final = "host"
#: What makes the kernels of float32 projects.
TVM: Final = "tvm"


@dataclass(frozen=True)
class Options:
    """Options that C projects alone have, and those that they share with .tflite files; see the verb."""

    target: str | None
    core: str | None
    name: str | None
    calibration: str | None
    build: bool
    compiler: str | None
    shapes: GivenShapes | None = None
    runtime: str | None = None

    def check(self, formats: Collection[str], whole_run: bool) -> None:
        """Refuse options that would do nothing.

        Args:
            formats: What is written.
            whole_run: Whether the models are those of a run.

        Raises:
            InputError: Such an option was given, or a model has neither target nor core.
        """
        c = "c" in formats
        given: dict[str, object] = {
            "--target": self.target,
            "--core": self.core,
            "--name": self.name,
            "--build": self.build,
            "--compiler": self.compiler,
            "--runtime": self.runtime,
        }
        shared: dict[str, object] = {"--calibration": self.calibration, "--shape": self.shapes}
        for option, value in given.items():
            if value and not c:
                raise InputError("it is for C; add --to c", where=option)
        for option, value in shared.items():
            if value and whole_run:
                raise InputError("models of a run are int8 and have shapes; leave it out", where=option)
        if self.runtime not in (None, TVM):
            raise InputError(
                f"there is no runtime {self.runtime!r}",
                where="--runtime",
                allowed=[TVM],
                given=self.runtime or "",
            )
        if self.runtime and (whole_run or self.calibration):
            raise InputError(
                "TVM's kernels are of float32 models: give one, without --calibration", where="--runtime"
            )
        if self.compiler and not self.build:
            raise InputError("it is what --build compiles with; add --build", where="--compiler")
        if c and not whole_run and not self.target and not self.core:
            raise InputError("name a chip with --target, or --core", where="--to c", allowed=(*CORES, HOST))
        if self.core is not None and self.core not in (*CORES, HOST):
            raise InputError(
                f"unknown core {self.core!r}", where="--core", allowed=(*CORES, HOST), given=self.core
            )


@dataclass(frozen=True)
class Exported:
    """A project that was written.

    Attributes:
        model: The model's file.
        folder: Where the project is.
        files: Its files, relative to the folder.
        prefix: Beginning of its public names.
        chip: The chip or core that it is for.
        arena_bytes: Its arena.
        constant_bytes: Its weights and other constants.
        elf: The built program; None if it was not built.
        flash_bytes: Of the built program; None for the host, or if it was not built.
        ram_bytes: The same, without the stack.
        stack_bytes: What the linker script reserves for the stack.
        compiler: What built it.
    """

    model: Path
    folder: Path
    files: tuple[str, ...]
    prefix: str
    chip: str
    arena_bytes: int
    constant_bytes: int
    elf: Path | None
    flash_bytes: int | None
    ram_bytes: int | None
    stack_bytes: int
    compiler: str | None


def run_target(data: ReportData, options: Options) -> Options:
    """The options with the run's target, the file it was searched for where that is still there."""
    if options.target or options.core:
        return options
    from hannah_hw.report.outcome import target_name

    return replace(options, target=target_name(data))


def project_of(model: Path, out: Path, options: Options) -> Exported:
    """Write the project of a model into a folder of its own.

    Args:
        model: An ONNX file.
        out: Where that folder is made.
        options: The options.

    Raises:
        ModelError: The file cannot be read, or is float32 without a calibration.
        UnsupportedError: A layer that no kernel runs.
        EvaluationError: It does not fit into the target's memories.
        RunError: A file cannot be written, or the compiler failed.
        MissingToolError: There is no compiler to build it with.
    """
    from hannah_hw.firmware.building import build, write_sizes
    from hannah_hw.firmware.network import read_network
    from hannah_hw.firmware.project import generate, own_runtime
    from hannah_hw.targets import load_target, microcontroller

    target = None
    if options.target is not None:
        target = microcontroller(load_target(options.target), "a C project")
        used = own_runtime(target)
        if used.label != target.label:
            say(
                f"warning: a C project has our own kernels, so its time is what {used.label} is estimated at, not "
                f"{target.label}"
            )
    network = read_network(int8_source(model, options.calibration, options.shapes), shapes=options.shapes)
    try:
        project = generate(
            network,
            _core(options.core, target),
            folder=project_folder(model, out),
            target=target,
            name=options.name if options.name is not None else model.stem,
        )
        built = build(project, options.compiler, emulated=False) if options.build else None
    except UnsupportedError as error:
        raise UnsupportedError(f"{model}: {error}") from error
    except EvaluationError as error:
        raise EvaluationError(f"{model}: {error}", kind=error.kind) from error
    sizes = write_sizes(project, built) if built is not None and project.memory is not None else None
    design = project.design
    return exported(model, project, built, sizes, design.memory.arena_bytes, design.constant_bytes)


def exported(
    model: Path,
    project: Project | FloatProject,
    built: Built | None,
    sizes: Sizes | None,
    arena_bytes: int,
    constant_bytes: int,
) -> Exported:
    """What was written of a model, and what its program takes if it was built."""
    return Exported(
        model=model,
        folder=project.folder,
        files=project.files,
        prefix=project.prefix,
        chip=project.title,
        arena_bytes=arena_bytes,
        constant_bytes=constant_bytes,
        elf=built.elf if built is not None else None,
        flash_bytes=sizes.flash_bytes if sizes is not None else None,
        ram_bytes=sizes.ram_bytes if sizes is not None else None,
        stack_bytes=project.stack_bytes,
        compiler=built.compiler.version if built is not None else None,
    )


def project_folder(model: Path, out: Path) -> Path:
    """The folder of a model's project."""
    return out / (re.sub(r"[^A-Za-z0-9_-]+", "_", model.stem).strip("_") or "network")


def summary(project: Exported) -> str:
    """A project in one line."""
    if project.flash_bytes is None or project.ram_bytes is None:
        sizes = (
            f"arena {format_bytes(project.arena_bytes)}, weights and other constants "
            f"{format_bytes(project.constant_bytes)}"
        )
    else:
        sizes = (
            f"flash {format_bytes(project.flash_bytes)}, RAM {format_bytes(project.ram_bytes)} and "
            f"{format_bytes(project.stack_bytes)} of stack"
        )
    return f"{project.folder}: {project.chip}; {sizes}"


def _core(name: str | None, target: Microcontroller | None) -> Core | None:
    if name == HOST:
        return None
    if name is not None or target is None:
        return core_named(name or "")
    return target.processor


def int8_source(model: Path, calibration: str | None, shapes: GivenShapes | None = None) -> Path | ModelProto:
    """The file of an int8 model, or the int8 model made of a float32 one."""
    if calibration is None:
        return model
    from hannah_hw.measure.models import int8_model

    return int8_model(model, calibration, shapes=shapes).source
