"""The format ``hannah-cost-model/2``: fitted coefficients, with what they were fitted from and their error.

One YAML file a core and library, ``cost_models/CORE/RUNTIME.yaml``, with the measurements beside it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from hannah_hw import catalog
from hannah_hw.cost.libraries import LIBRARIES, Library
from hannah_hw.documents import parse_document, read_document
from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import Source, Strict

FORMAT: Final = "hannah-cost-model/2"

_NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class FitError(Strict):
    """How wrong the cycles of a class are.

    Attributes:
        mean: Mean relative error on shapes the fit did not see; None where it could not be taken.
        max: The largest one.
        n: Number of distinct shapes in the fit.
        method: How the errors were taken.
        band: Relative half width to report.
    """

    mean: _NonNegative | None = None
    max: _NonNegative | None = None
    n: Annotated[int, Field(ge=0)]
    method: str
    band: _NonNegative


class ClassModel(Strict):
    """Cycles of one kernel class.

    Attributes:
        cycles: Feature -> cycles per unit of it, for all features of the library's class.
        flash_reads: Feature -> data reads from flash per unit of it; empty where the library's formula gives them.
        source: Kind of origin.
        reference: Origin in words.
        error: Its error.
        flash_reads_error: That of the reads.
    """

    cycles: dict[str, _NonNegative]
    flash_reads: dict[str, _NonNegative] = Field(default_factory=dict)
    source: Source
    reference: str
    error: FitError
    flash_reads_error: FitError | None = None


class Bytes(Strict):
    """An amount of memory with its origin."""

    bytes: Annotated[int, Field(ge=0)]
    source: Source
    reference: str


class CodePart(Strict):
    """Code and tables that kernels of several classes need.

    Attributes:
        classes: The classes.
        bytes: Of flash, once if any kernel is of one of them.
    """

    classes: tuple[str, ...]
    bytes: Annotated[int, Field(ge=0)]


class Runtime(Strict):
    """Memory that the software takes, weights and buffers apart.

    Attributes:
        stack: High-water mark of the stack, without what the kernels say of theirs.
        stack_by_class: Kernel class -> deepest stack of its kernels, in bytes; a network has that of its deepest.
        ram: Static data of the runtime.
        code: Code and constants that every firmware has.
        code_per_kernel: Code that calls one kernel, and its parameters.
        code_by_class: Kernel class -> code and constants of its kernels, present once if any kernel is of it.
        code_shared: What several classes need, beyond what each has for itself.
        bias_bytes: Per bias element, where the library does not say how many bytes a kernel's constants take.
        requantisation_bytes: Per output channel of a kernel with weights, also there: multiplier and shift.
        ram_error: Relative half width of a network's RAM, or None when unknown.
        flash_error: The same of its flash: the largest difference on the firmwares that the code sizes come from.
    """

    stack: Bytes
    stack_by_class: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    ram: Bytes
    code: Bytes
    code_per_kernel: Bytes
    code_by_class: dict[str, Bytes]
    code_shared: tuple[CodePart, ...] = ()
    bias_bytes: int = 4
    requantisation_bytes: int = 8
    ram_error: _NonNegative | None = None
    flash_error: _NonNegative | None = None


class Provenance(Strict):
    """What a cost model was measured with, so that anybody can tell whether it is of these sources.

    Attributes:
        kernels: Kernel class -> hash of the sources of its kernels, see `hannah_hw.measure.provenance`.
        compiler: Its name and version.
        emulator: The same.
        timing: The cycle table.
        seed: Of the sampled shapes.
        fitted: Shapes of each class with weights that were drawn for the fit.
        held_out: The same of those that judge it.
    """

    kernels: dict[str, str]
    compiler: str
    emulator: str
    timing: str
    seed: int
    fitted: int
    held_out: int


class CostModel(Strict):
    """A library of kernels on a core, priced.

    Attributes:
        format: `FORMAT`.
        name: Catalogue name: core and library.
        title: Library, compiler, core.
        library: Key of `hannah_hw.cost.libraries.LIBRARIES`: whose classes it prices.
        reference: How the underlying figures were taken.
        sweep: File of the measurements beside this one, or None.
        provenance: What the measurements were made with, where hannah-hw calibrate made them.
        classes: Kernel class -> its cycles.
        runtime: Its memory.
    """

    format: Literal["hannah-cost-model/2"]
    name: str
    title: str
    library: str
    reference: str
    sweep: str | None = None
    provenance: Provenance | None = None
    classes: dict[str, ClassModel]
    runtime: Runtime

    @property
    def kernels(self) -> Library:
        """The library."""
        return LIBRARIES[self.library]

    @field_validator("library")
    @classmethod
    def _library(cls, name: str) -> str:
        if name not in LIBRARIES:
            raise ValueError(str(TargetError(f"unknown library {name!r}", allowed=LIBRARIES, given=name)))
        return name

    @model_validator(mode="after")
    def _known(self) -> CostModel:
        if self.library not in LIBRARIES:  # its own validator has said so
            return self
        known = {entry.name: set(entry.features) for entry in self.kernels.classes}
        for name, fitted in self.classes.items():
            if name not in known:
                raise ValueError(f"unknown kernel class {name!r}; allowed: {', '.join(known)}")
            if set(fitted.cycles) != known[name]:
                raise ValueError(
                    f"class {name!r} has the features {', '.join(fitted.cycles)}; "
                    f"this version computes {', '.join(self.kernels[name].features)}: run hannah-hw calibrate again"
                )
            if fitted.flash_reads and set(fitted.flash_reads) != known[name]:
                raise ValueError(f"flash_reads of class {name!r} must have the features of its cycles")
            if name not in self.runtime.code_by_class:
                raise ValueError(f"runtime.code_by_class does not say how much code the class {name!r} takes")
        shared = [name for part in self.runtime.code_shared for name in part.classes]
        for name in (*self.runtime.code_by_class, *self.runtime.stack_by_class, *shared):
            if name not in known:
                raise ValueError(
                    f"unknown kernel class {name!r} in the code of the runtime; allowed: {', '.join(known)}"
                )
        return self


def parse_cost_model(text: str, path: str) -> CostModel:
    """A cost model from YAML text.

    Args:
        text: The document.
        path: Its file name, for messages.

    Raises:
        TargetError: The text is not a cost model: file, line, field and what is allowed.
    """
    return parse_document(text, path, TargetError).validate(CostModel, TargetError)


def cost_model_text(model: CostModel) -> str:
    """The file of a cost model; `parse_cost_model` gives the model back."""
    data = model.model_dump(mode="json", exclude_none=True)
    text: str = yaml.safe_dump(data, sort_keys=False, width=110, allow_unicode=True)
    return text


def load_cost_model(name_or_path: str | Path, *, near: Path | None = None) -> CostModel:
    """Read a cost model of the catalogue, or a user's file.

    Args:
        name_or_path: A catalogue name such as ``m4/hannah``, or a path that ends in ``.yaml``.
        near: Folder that relative paths are tried in first.

    Raises:
        CatalogError: Nothing is found under that name.
        TargetError: The file cannot be read or is not a cost model.
    """
    if str(name_or_path).endswith(".json"):
        raise TargetError(
            "cost models are YAML files since the format hannah-cost-model/2; make the file again from its "
            "measurements: hannah-hw calibrate, with --out NAME.yaml",
            where=str(name_or_path),
        )
    path = catalog.find("cost_models", str(name_or_path), near=near)
    try:
        status = path.stat()
    except OSError as failure:
        raise TargetError(f"cannot read the file: {failure}", where=str(path)) from failure
    return _read(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=32)
def _read(path: Path, _modified: int, _size: int) -> CostModel:
    return read_document(path, TargetError).validate(CostModel, TargetError)
