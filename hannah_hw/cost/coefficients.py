"""The format ``hannah-cost-model/1``: fitted coefficients, with what they were fitted from and their error."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from hannah_hw import catalog
from hannah_hw.cost.libraries import LIBRARIES, Library
from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import Source, Strict

FORMAT = "hannah-cost-model/1"
#: Largest coefficient file that is read.
MAX_BYTES = 1 << 20

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

    mean: _NonNegative | None
    max: _NonNegative | None
    n: Annotated[int, Field(ge=0)]
    method: str
    band: _NonNegative


class ClassModel(Strict):
    """Cycles of one kernel class.

    Attributes:
        features: Names of the features, in the order of the library's class.
        coefficients: Cycles per unit of each feature.
        source: Kind of origin.
        reference: Origin in words.
        error: Its error.
    """

    features: tuple[str, ...]
    coefficients: tuple[_NonNegative, ...]
    source: Source
    reference: str
    error: FitError

    @model_validator(mode="after")
    def _same_length(self) -> ClassModel:
        if len(self.features) != len(self.coefficients):
            raise ValueError(f"{len(self.features)} features but {len(self.coefficients)} coefficients")
        return self


class Bytes(Strict):
    """An amount of memory with its origin."""

    bytes: Annotated[int, Field(ge=0)]
    source: Source
    reference: str


class Runtime(Strict):
    """Memory that the software takes, weights and buffers apart.

    Attributes:
        stack: High-water mark of the stack.
        ram: Static data of the runtime.
        code: Code and constants that every firmware has.
        code_per_kernel: Code that calls one kernel, and its parameters.
        code_by_class: Kernel class -> code and constants of its kernels, present once if any kernel is of it.
        bias_bytes: Per bias element.
        requantisation_bytes: Per output channel of a kernel with weights: multiplier and shift.
        ram_error: Relative half width of a network's RAM, or None when unknown.
        flash_error: The same of its flash: the largest difference on the firmwares that the code sizes come from.
    """

    stack: Bytes
    ram: Bytes
    code: Bytes
    code_per_kernel: Bytes
    code_by_class: dict[str, Bytes]
    bias_bytes: int = 4
    requantisation_bytes: int = 8
    ram_error: _NonNegative | None = None
    flash_error: _NonNegative | None = None


class CostModel(Strict):
    """A library of kernels on a core, priced.

    Attributes:
        format: `FORMAT`.
        name: Catalogue name.
        title: Library, compiler, core.
        library: Key of `hannah_hw.cost.libraries.LIBRARIES`: whose classes it prices.
        reference: How the underlying figures were taken.
        sweep: File of the measurements beside this one, or None.
        classes: Kernel class -> its cycles.
        runtime: Its memory.
    """

    format: Literal["hannah-cost-model/1"]
    name: str
    title: str
    library: str = "cmsis_nn"
    reference: str
    sweep: str | None = None
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
        known = {entry.name: tuple(entry.features) for entry in self.kernels.classes}
        for name, fitted in self.classes.items():
            if name not in known:
                raise ValueError(f"unknown kernel class {name!r}; allowed: {', '.join(known)}")
            if fitted.features != known[name]:
                raise ValueError(
                    f"class {name!r} has the features {', '.join(fitted.features)}; "
                    f"this version computes {', '.join(known[name])}: run hannah-hw calibrate again"
                )
            if name not in self.runtime.code_by_class:
                raise ValueError(f"runtime.code_by_class does not say how much code the class {name!r} takes")
        for name in self.runtime.code_by_class:
            if name not in known:
                raise ValueError(
                    f"unknown kernel class {name!r} in runtime.code_by_class; allowed: {', '.join(known)}"
                )
        return self


def parse_cost_model(data: Any, where: str) -> CostModel:
    """A cost model from JSON data.

    Raises:
        TargetError: The data are not a cost model; names the field.
    """
    try:
        return CostModel.model_validate(data)
    except ValidationError as failure:
        first = failure.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise TargetError(
            first["msg"].removeprefix("Value error, "), where=f"{where} {field}".rstrip()
        ) from failure


def load_cost_model(name_or_path: str | Path, *, near: Path | None = None) -> CostModel:
    """Read a cost model of the catalogue, or a user's file.

    Args:
        name_or_path: A catalogue name, or a path that ends in ``.json``.
        near: Folder that relative paths are tried in first.

    Raises:
        CatalogError: Nothing is found under that name.
        TargetError: The file cannot be read or is not a cost model.
    """
    path = catalog.find("cost_models", str(name_or_path), near=near)
    try:
        status = path.stat()
    except OSError as failure:
        raise TargetError(f"cannot read the file: {failure}", where=str(path)) from failure
    return _read(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=32)
def _read(path: Path, _modified: int, size: int) -> CostModel:
    if size > MAX_BYTES:
        raise TargetError(f"the file is larger than {MAX_BYTES} bytes", where=str(path))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as failure:
        raise TargetError(f"not a JSON file: {failure}", where=str(path)) from failure
    return parse_cost_model(data, str(path))
