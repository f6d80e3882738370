"""A host: a machine that runs networks in ONNX Runtime, with latencies learned from its own kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hannah_hw.errors import TargetError, UnsupportedError
from hannah_hw.targets.fields import Strict
from hannah_hw.targets.models.learned import LearnedModel
from hannah_hw.targets.rules import OperatorRule
from hannah_hw.targets.schema import Target


class HostRuntime(Strict):
    """What decides which kernels a network becomes and how fast they are.

    Attributes:
        version: Of ONNX Runtime.
        provider: Execution provider.
        optimisation: Graph optimisation.
        threads: Threads within an operator; operators run one after another.
        processor: Name of the processor.
        nchwc_block: Channels of a block of the layout in which its float convolutions run, such as the 8 values of a
            256-bit vector; 1 where it has no such layout.
    """

    version: str = Field(min_length=1)
    provider: Literal["CPUExecutionProvider"] = "CPUExecutionProvider"
    optimisation: Literal["all"] = "all"
    threads: Annotated[int, Field(ge=1, le=1024)]
    processor: str = Field(min_length=1)
    nchwc_block: Annotated[int, Field(ge=1, le=256)]


class Host(Target):
    """A machine with ONNX Runtime.

    Its latencies are those that the calibration learned. Its RAM and energy are not known; the flash of a network is
    what its weights take.

    Attributes:
        runtime: ONNX Runtime as it was when the machine was calibrated.
        model: Kind of cost model and its parameters.
    """

    family: ClassVar[str] = "host"

    runtime: HostRuntime
    model: LearnedModel

    @property
    def label(self) -> str:
        """``NAME:PRECISION``, which `hannah_hw.targets.load_target` takes."""
        return f"{self.name}:{self.model.precision}"

    @property
    def kind(self) -> str:
        """``learned``."""
        return self.model.kind

    @property
    def ops(self) -> tuple[OperatorRule, ...]:
        """None: whatever ONNX Runtime runs can run; what was not measured has no price."""
        return ()

    @property
    def capacities(self) -> Mapping[str, int | None]:
        """Without bound."""
        return {"ram_bytes": None, "flash_bytes": None}

    def using(self, runtime: str) -> Host:
        """The same machine with candidates of another precision.

        Raises:
            TargetError: There is no such precision.
        """
        try:
            return self.model_copy(update={"model": self.model.using(runtime)})
        except ValueError as failure:
            raise TargetError(str(failure), where=self.name) from failure


def host(target: Target, what: str) -> Host:
    """A target as a host.

    Args:
        target: A target.
        what: What needs one, as the subject of a message.

    Raises:
        UnsupportedError: It is none.
    """
    if not isinstance(target, Host):
        raise UnsupportedError(
            f"{what} needs a host, and {target.name} is a target of the family {target.family}; "
            "`hannah-hw calibrate host` makes one of this machine"
        )
    return target
