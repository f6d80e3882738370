"""An accelerator: an array of multipliers, its memories, and how its cycles and energy are counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from hannah_hw.documents import Document
from hannah_hw.errors import TargetError
from hannah_hw.targets.amounts import Amount
from hannah_hw.targets.area import instances
from hannah_hw.targets.consistency import check
from hannah_hw.targets.fields import Hertz, SourcedNumber
from hannah_hw.targets.hardware import (
    CpuFallback,
    Dataflow,
    Limits,
    MacArray,
    MemoryLevel,
    Operand,
    VectorUnit,
)
from hannah_hw.targets.models.block import BlockModel
from hannah_hw.targets.models.closed_form import ClosedFormModel
from hannah_hw.targets.models.loop_nest import LoopNestModel
from hannah_hw.targets.params import Param, ParamName, Params, Value, assigned, params_of
from hannah_hw.targets.resolution import resolved
from hannah_hw.targets.rules import OperatorRule, Rules
from hannah_hw.targets.schema import Target

AcceleratorModel = Annotated[LoopNestModel | ClosedFormModel | BlockModel, Field(discriminator="kind")]


class Accelerator(Target):
    """An accelerator.

    Attributes:
        clock_hz: Clock of the array.
        params: Hardware axes of a co-search; ``${name}`` elsewhere in the file stands for their values.
        array: The multipliers; None where the model does not ask for them.
        memories: From the array outwards.
        dataflow: How loops are laid out.
        vector: What computes what is no multiply-accumulate; None: such layers cannot run here.
        on_chip: Name of the memory in which activations stay from layer to layer if they fit; None: they go through
            the outermost memory.
        static_w: Power that flows whatever is computed, watts; None: none is counted.
        error: Relative half width of the band of latencies, and what it rests on; None: not known.
        model: Kind of cost model and its parameters.
        ops: Which kernels can run.
        limits: Bounds on a whole network.
        unsupported: What happens to a kernel that cannot run: ``error`` leaves the network without a figure;
            ``cpu_fallback`` prices it on the processor of that section.
        cpu_fallback: The processor beside the accelerator.
    """

    family: ClassVar[str] = "accelerator"

    clock_hz: Hertz
    params: dict[ParamName, Param] = Field(default_factory=dict)
    array: MacArray | None = None
    memories: tuple[MemoryLevel, ...] = ()
    dataflow: Dataflow = Dataflow()
    vector: VectorUnit | None = None
    on_chip: str | None = None
    static_w: SourcedNumber | None = None
    error: SourcedNumber | None = None
    model: AcceleratorModel
    ops: Rules
    limits: Limits = Limits()
    unsupported: Literal["error", "cpu_fallback"]
    cpu_fallback: CpuFallback | None = None

    _document: Document | None = PrivateAttr(default=None)
    _assignment: dict[str, Amount] = PrivateAttr(default_factory=dict)
    _fingerprint: str = PrivateAttr(default="")

    @property
    def chosen(self) -> Mapping[str, Amount]:
        """Param -> its value with its unit."""
        return dict(self._assignment)

    @property
    def assignment(self) -> Mapping[str, Value]:
        """Param -> its value, in the base unit of its dimension."""
        return {name: amount.value for name, amount in self._assignment.items()}

    @property
    def written(self) -> Document | None:
        """What it was read from, with its ``${...}``; None of one that was not read from a file."""
        return self._document

    def with_params(self, given: Mapping[str, Any]) -> Accelerator:
        """The same file with other values of its params; those that are not given take their defaults.

        Args:
            given: Param -> value, as the file writes it (``64 KiB``) or in the base unit (65536).

        Raises:
            TargetError: An unknown param, a value that it does not have, or a description that cannot be with them.
        """
        if self._document is not None:
            return read_accelerator(self._document, given, self._origin, self.params)
        assigned(self.params, given, self.name)
        return self

    @property
    def fingerprint(self) -> str:
        """A hash of what the target says: equal for files that say the same, whatever params led to it."""
        if not self._fingerprint:
            said = self.model_dump(mode="json", exclude={"params", "title", "document"})
            # The order of fields matters: of memories and dimensions it is part of the description.
            self._fingerprint = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        return self._fingerprint

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Accelerator:
        """A copy with changed fields; `with_params` goes back to the file."""
        copy = super().model_copy(update=update, deep=deep)
        copy._fingerprint = ""
        return copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Accelerator) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def label(self) -> str:
        """Its name, and the params that differ from their defaults: ``npu[pe=16]``."""
        changed = [
            f"{name}={str(amount).replace(' ', '')}"
            for name, amount in self._assignment.items()
            if amount != self.params[name].default
        ]
        return f"{self.name}[{','.join(changed)}]" if changed else self.name

    @property
    def kind(self) -> str:
        """``loop_nest``, ``closed_form`` or ``block``."""
        return self.model.kind

    @property
    def capacities(self) -> Mapping[str, int | None]:
        """Bounds on a network: those of ``limits``, else what the memories hold; None: without bound.

        Whatever moves, all live activations lie in the outermost memories of inputs and outputs or in the one they
        may stay in, and all weights in the outermost one of weights. A block model that has no other place for
        activations keeps them all in the latter.
        """
        ram, flash = self.limits.ram_bytes, self.limits.flash_bytes
        if ram is None:
            ends = {self._outermost("I"), self._outermost("O")}
            if isinstance(self.model, BlockModel) and self.model.staging == self.model.feature_maps:
                ends = set()
            ram = self._bytes({*ends, self.on_chip})
        return {
            "ram_bytes": ram,
            "flash_bytes": self._bytes({self._outermost("W")}) if flash is None else flash,
        }

    def _outermost(self, operand: Operand) -> str | None:
        return next((memory.name for memory in reversed(self.memories) if operand in memory.holds), None)

    def _bytes(self, names: Set[str | None]) -> int | None:
        """What memories hold together, all copies of them; None where one is without bound, or there are none."""
        held = 0
        for position, memory in enumerate(self.memories):
            if memory.name in names:
                if memory.size is None:
                    return None
                held += memory.size * instances(self, position)
        return held or None

    def using(self, runtime: str) -> Accelerator:
        """Accelerators have no runtimes.

        Raises:
            TargetError: Always.
        """
        raise TargetError(
            f"{self.name} is an accelerator and has no runtimes, so no {runtime!r}", where=self.name
        )


def read_accelerator(
    document: Document,
    given: Mapping[str, Any],
    origin: Path | None = None,
    params: Params | None = None,
) -> Accelerator:
    """The accelerator that a document describes with some values of its params.

    Args:
        document: As written, with its ``${...}``.
        given: Param -> value; see `Accelerator.with_params`.
        origin: Its file.
        params: Its params, if they are known; else they are read from it.

    Raises:
        TargetError: The document is no accelerator, or not with these values.
    """
    known = params_of(document) if params is None else params
    chosen = assigned(known, given, document.where(("params",)))
    filled = resolved(document, chosen)
    try:
        target = filled.validate(Accelerator, TargetError)
        check(target, filled.where)
    except TargetError as failure:
        if not given:
            raise
        values = ", ".join(f"{name} = {chosen[name]}" for name in given)
        raise TargetError(
            f"{failure.message}; so it is with {values}",
            where=failure.where,
            allowed=failure.allowed,
            given=failure.given,
        ) from failure
    target._document, target._assignment, target._origin = document, chosen, origin
    return target


__all__ = ["Accelerator", "AcceleratorModel", "OperatorRule", "read_accelerator"]
