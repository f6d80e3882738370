"""Operator rules: which kernels a library of kernels can run, and the rules of the libraries that we know.

A target names the rules of a library, or lists its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator

from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import Strict, parsed_by
from hannah_hw.targets.legality import Predicate
from hannah_hw.workload.table import KERNEL_KINDS


class KernelPattern(Strict):
    """Some kernels.

    Attributes:
        match: Kernel kind, or several.
        when: Conditions over the kernel columns, all of which must hold; see `hannah_hw.targets.legality`.
    """

    match: str | tuple[str, ...]
    when: Annotated[tuple[str, ...], parsed_by(Predicate.parse)] = ()

    @field_validator("match")
    @classmethod
    def _known(cls, match: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for kind in (match,) if isinstance(match, str) else match:
            if kind not in KERNEL_KINDS:
                problem = TargetError(f"unknown kernel kind {kind!r}", allowed=KERNEL_KINDS, given=kind)
                raise ValueError(str(problem))
        return match

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kernel kinds it speaks of."""
        return (self.match,) if isinstance(self.match, str) else self.match


class OperatorRule(KernelPattern):
    """Kernels that the target can run.

    Attributes:
        unit: Of an accelerator, what runs them; None: the array, if the target's cost model prices their kind on it,
            else the vector unit.
    """

    unit: Literal["array", "vector", "cpu"] | None = None


_WEIGHTS: Final = "weight_bits == 8"
_VALUES: Final = ("activation_bits == 8", "output_bits == 8")
_UNDILATED: Final = "dilation_h == 1 and dilation_w == 1"


def _rules(*rules: tuple[str | tuple[str, ...], tuple[str, ...]]) -> tuple[OperatorRule, ...]:
    return tuple(OperatorRule(match=match, when=when) for match, when in rules)


#: Name -> rules. ``cmsis_nn``: Arm CMSIS-NN, s8 kernels. ``hannah``: the kernels of this package; their upsampling is
#: that of the nearest neighbour, whose window is 1.
RULE_SETS: Final[Mapping[str, tuple[OperatorRule, ...]]] = {
    "cmsis_nn": _rules(
        (
            "conv",
            (_WEIGHTS, *_VALUES, "groups == 1 or groups == in_channels == out_channels", _UNDILATED),
        ),
        ("linear", (_WEIGHTS, *_VALUES)),
        (("softmax", "activation"), _VALUES),
        (("avg_pool", "max_pool"), (*_VALUES, _UNDILATED)),
        ("add", (*_VALUES, "operands == 2")),
    ),
    "hannah": _rules(
        ("conv", (_WEIGHTS, *_VALUES, _UNDILATED)),
        (("linear", "conv_transpose"), (_WEIGHTS, *_VALUES)),
        (("avg_pool", "max_pool"), (*_VALUES, _UNDILATED)),
        (("add", "mul"), (*_VALUES, "operands == 2")),
        ("batch_norm", _VALUES),
        (("softmax", "scale", "activation", "sigmoid", "hard_sigmoid", "hard_swish", "quantize"), _VALUES),
        (("concat", "slice", "pad", "permute"), _VALUES),
        ("upsample", (*_VALUES, "kernel_h == 1 and kernel_w == 1")),
    ),
}


def _named(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if given not in RULE_SETS:
        raise ValueError(
            str(TargetError(f"unknown operator rules {given!r}", allowed=RULE_SETS, given=given))
        )
    return RULE_SETS[given]


def _or_name(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of rules allow the name of a set."""
    rules = {"type": "array", "items": schema["items"], "minItems": 1}
    schema.clear()
    schema["anyOf"] = [rules, {"enum": list(RULE_SETS)}]


#: Operator rules of a runtime; files may give a name of `RULE_SETS`.
Rules = Annotated[
    tuple[OperatorRule, ...], BeforeValidator(_named), Field(min_length=1, json_schema_extra=_or_name)
]
