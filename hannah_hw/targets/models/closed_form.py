"""Model kind ``closed_form``: cycles and energy of a layer as formulas of its sizes.

The formulas are a registered form of this package, or text in the target's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import SourcedNumber, Strict, parsed_by
from hannah_hw.targets.formulas import FUNCTIONS, Formula
from hannah_hw.targets.rules import KernelPattern
from hannah_hw.workload.table import KERNEL_COLUMNS

#: Registered form -> figures that its ``settings`` must give.
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "weight_stationary": (),
    "output_stationary": (),
    "input_stationary": (),
    "channel_array": (),
    "max78000": (),
    "gap9": ("layer_cycles", "dma_bytes_per_cycle", "core_macs_per_cycle", "busy_pj", "mac_pj"),
}

#: Forms of an array with two dimensions.
ARRAY_FORMS: Final = ("weight_stationary", "output_stationary", "input_stationary", "channel_array")

_NamedT = TypeVar("_NamedT", bound=Mapping[str, object])


def _own_names(named: _NamedT) -> _NamedT:
    taken = next((name for name in named if name in KERNEL_COLUMNS or name in FUNCTIONS), None)
    if taken is not None:
        raise ValueError(f"{taken!r} is a column or a function already; choose another name")
    return named


_FORMULAS: Final = parsed_by(Formula.parse)
_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
#: One formula, or parts that are added up, by name.
_Sum = Annotated[
    Annotated[str, Field(min_length=1)] | Annotated[dict[_Name, str], Field(min_length=1)],
    _FORMULAS,
]
#: Formulas of new names.
_Steps = Annotated[dict[_Name, str], _FORMULAS, AfterValidator(_own_names)]


class LayerFormulas(KernelPattern):
    """What layers of some kinds cost.

    Attributes:
        match: Kernel kind, or several.
        when: Conditions under which the formulas hold; the first entry that fits a layer is taken.
        let: Name -> formula, for use in those that follow.
        cycles: Clock cycles, or parts of them.
        energy_pj: Picojoules, or parts of them; None: not known.
    """

    let: _Steps = Field(default_factory=dict)
    cycles: _Sum
    energy_pj: _Sum | None = None

    @property
    def cycle_parts(self) -> Mapping[str, str]:
        """Part -> formula."""
        return {"compute": self.cycles} if isinstance(self.cycles, str) else self.cycles

    @property
    def energy_parts(self) -> Mapping[str, str] | None:
        """Part -> formula; None: the energy is not known."""
        return {"all": self.energy_pj} if isinstance(self.energy_pj, str) else self.energy_pj


class ClosedFormModel(Strict):
    """Which formulas: one of ``form`` and ``layers``.

    Formulas may read the columns of a layer (`hannah_hw.workload.KERNEL_COLUMNS`), names of ``let`` before them, and
    `hannah_hw.targets.figures.figures` of the target: dimensions of the array, ``settings``, figures of the memories.

    Attributes:
        kind: ``closed_form``.
        form: A form of `FORMS`.
        settings: Figures of the form or of the formulas.
        let: Name -> formula, for use in all that follow.
        layers: Formulas by kernel kind.
    """

    kind: Literal["closed_form"]
    form: str | None = None
    settings: Annotated[dict[_Name, SourcedNumber], AfterValidator(_own_names)] = Field(default_factory=dict)
    let: _Steps = Field(default_factory=dict)
    layers: tuple[LayerFormulas, ...] = ()

    @field_validator("form")
    @classmethod
    def _registered(cls, form: str | None) -> str | None:
        if form is not None and form not in FORMS:
            raise ValueError(str(TargetError(f"unknown closed form {form!r}", allowed=FORMS, given=form)))
        return form

    @model_validator(mode="after")
    def _one_of_two(self) -> ClosedFormModel:
        if (self.form is None) == (not self.layers):
            raise ValueError(
                "give either 'form', the name of a registered form "
                f"({', '.join(FORMS)}), or 'layers', formulas by kernel kind"
            )
        if self.form is not None and self.let:
            raise ValueError("'let' belongs to 'layers'; a registered form reads 'settings' only")
        missing = [name for name in FORMS[self.form] if name not in self.settings] if self.form else []
        if missing:
            raise ValueError(f"the form {self.form!r} needs the settings {', '.join(missing)}")
        return self
