"""Model kind ``learned``: latencies that were fitted to kernels measured on the machine itself."""

from __future__ import annotations

from typing import Final, Literal, get_args

from pydantic import Field

from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import Strict

Precision = Literal["float32", "int8"]
PRECISIONS: Final[tuple[str, ...]] = get_args(Precision)


class LearnedModel(Strict):
    """What was fitted, and how candidates are written before they are priced.

    Attributes:
        kind: ``learned``.
        coefficients: A cost model of the catalogue, or a path; `hannah-hw calibrate host` writes it.
        precision: Of candidates of a search space. An ONNX file runs as it is.
    """

    kind: Literal["learned"]
    coefficients: str = Field(min_length=1)
    precision: Precision = "float32"

    def using(self, precision: str) -> LearnedModel:
        """The same for candidates of another precision.

        Raises:
            ValueError: There is no such precision.
        """
        if precision not in PRECISIONS:
            problem = TargetError(f"unknown precision {precision!r}", allowed=PRECISIONS, given=precision)
            raise ValueError(str(problem))
        return self.model_copy(update={"precision": precision})
