"""Model kind ``block``: a neural processor that computes the output block by block, such as Arm's Ethos-U."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import Size, SourcedNumber, Strict

#: Processors whose structure this kind of model has -> multiply-accumulates a cycle of all cores.
ETHOS_U: Final[Mapping[str, int]] = {
    "ethos-u55-32": 32,
    "ethos-u55-64": 64,
    "ethos-u55-128": 128,
    "ethos-u55-256": 256,
    "ethos-u65-256": 256,
    "ethos-u65-512": 512,
}


class Area(Strict):
    """A memory behind the ports of the processor.

    Attributes:
        name: Its name.
        bytes_per_cycle: Bytes a cycle of the processor's clock.
        burst_bytes: Longest burst.
        read_latency: Cycles.
        write_latency: Cycles.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    bytes_per_cycle: Annotated[float, Field(gt=0)]
    burst_bytes: Annotated[int, Field(ge=1)]
    read_latency: Annotated[int, Field(ge=0)]
    write_latency: Annotated[int, Field(ge=0)]


class VelaSystem(Strict):
    """The system as Arm's compiler ethos-u-vela knows it, for measuring with that.

    Attributes:
        system_config: Clock and memories: a section ``System_Config.NAME`` of the compiler's configuration file.
        memory_mode: What lies in which memory: a section ``Memory_Mode.NAME`` of it.
    """

    system_config: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    memory_mode: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class BlockModel(Strict):
    """Which processor, in which system.

    Attributes:
        kind: ``block``.
        accelerator: Its name; of an Ethos-U that of `ETHOS_U`, by which ethos-u-vela knows it for measuring.
        vela: The same system for measuring; None: it is not measured.
        macs: Multiply-accumulates a cycle of one core; microblocks, shared memory and cycle tables follow from it.
        cores: Cores that share every layer.
        areas: Its memories.
        staging: Name of the on-chip area of activations and copied weights.
        feature_maps: Name of the area of activations that are not on chip, and of inputs and outputs of the network;
            the staging area where all activations are there.
        constants: Name of the area of weights, scales and tables.
        staging_bytes: How much of the staging area may be used, if activations may lie elsewhere; None: all.
        weight_bits: Bits of an encoded weight of a convolution: weights are compressed, how well depends on their
            values. None: those of normally distributed weights with the largest of each channel at 127.
        linear_weight_bits: The same of a fully connected layer; None: with the largest of the layer at 127.
        global_average: What an average over all pixels is in the file that is compiled: ``mean``, as converters of
            global pooling write it, or ``pool``, a pooling whose window is the whole input.
    """

    kind: Literal["block"]
    accelerator: str
    vela: VelaSystem | None = None
    macs: Literal[32, 64, 128, 256]
    cores: Literal[1, 2] = 1
    areas: Annotated[tuple[Area, ...], Field(min_length=1)]
    staging: str
    feature_maps: str
    constants: str
    staging_bytes: Size | None = None
    weight_bits: SourcedNumber | None = None
    linear_weight_bits: SourcedNumber | None = None
    global_average: Literal["mean", "pool"] = "mean"

    @field_validator("weight_bits", "linear_weight_bits")
    @classmethod
    def _are_some(cls, bits: SourcedNumber | None) -> SourcedNumber | None:
        if bits is not None and not 0 < bits.value <= 16:
            raise ValueError(f"an encoded weight has more than 0 and up to 16 bits, not {bits.value:g}")
        return bits

    @field_validator("accelerator")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name.lower().startswith("ethos-u") and name not in ETHOS_U:
            problem = TargetError(f"the block model knows no {name!r}", allowed=ETHOS_U, given=name)
            raise ValueError(str(problem))
        return name

    @model_validator(mode="after")
    def _is_the_one_named(self) -> BlockModel:
        """Estimates follow ``macs`` and measuring the name: they speak of one processor."""
        named = ETHOS_U.get(self.accelerator)
        if named is not None and named != self.macs * self.cores:
            raise ValueError(
                f"{self.accelerator} has {named} multipliers, and macs x cores is {self.macs * self.cores}; "
                "change the name, 'macs' or 'cores'"
            )
        return self

    @model_validator(mode="after")
    def _areas_exist(self) -> BlockModel:
        names = [area.name for area in self.areas]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two areas are called {twice!r}; give every area its own name")
        for role in ("staging", "feature_maps", "constants"):
            name = getattr(self, role)
            if name not in names:
                raise ValueError(
                    str(TargetError(f"{role}: no area is called {name!r}", allowed=names, given=name))
                )
        return self
