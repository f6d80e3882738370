"""Model kind ``closed_form``: cycles and energy of a layer as formulas of its sizes.

The formulas are a registered form of this package, or text in the target's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from hannah_hw.errors import InputError, TargetError
from hannah_hw.targets.fields import SourcedNumber, Strict
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

_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
#: One formula, or parts that are added up, by name.
_Sum = Annotated[str, Field(min_length=1)] | Annotated[dict[_Name, str], Field(min_length=1)]


def _parsed(texts: str | Mapping[str, str] | None) -> None:
    for text in (texts,) if isinstance(texts, str) else (texts or {}).values():
        try:
            Formula.parse(text)
        except InputError as failure:
            raise ValueError(str(failure)) from failure


def _own_names(names: Mapping[str, object]) -> None:
    taken = next((name for name in names if name in KERNEL_COLUMNS or name in FUNCTIONS), None)
    if taken is not None:
        raise ValueError(f"{taken!r} is a column or a function already; choose another name")


class LayerFormulas(KernelPattern):
    """What layers of some kinds cost.

    Attributes:
        match: Kernel kind, or several.
        when: Conditions under which the formulas hold; the first entry that fits a layer is taken.
        let: Name -> formula, for use in those that follow.
        cycles: Clock cycles, or parts of them.
        energy_pj: Picojoules, or parts of them; None: not known.
    """

    let: dict[_Name, str] = Field(default_factory=dict)
    cycles: _Sum
    energy_pj: _Sum | None = None

    @field_validator("let", "cycles", "energy_pj")
    @classmethod
    def _are_formulas(cls, texts: str | dict[str, str] | None) -> str | dict[str, str] | None:
        _parsed(texts)
        return texts

    @field_validator("let")
    @classmethod
    def _are_new(cls, texts: dict[str, str]) -> dict[str, str]:
        _own_names(texts)
        return texts

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
    settings: dict[_Name, SourcedNumber] = Field(default_factory=dict)
    let: dict[_Name, str] = Field(default_factory=dict)
    layers: tuple[LayerFormulas, ...] = ()

    @field_validator("form")
    @classmethod
    def _registered(cls, form: str | None) -> str | None:
        if form is not None and form not in FORMS:
            raise ValueError(str(TargetError(f"unknown closed form {form!r}", allowed=FORMS, given=form)))
        return form

    @field_validator("let")
    @classmethod
    def _are_formulas(cls, texts: dict[str, str]) -> dict[str, str]:
        _own_names(texts)
        _parsed(texts)
        return texts

    @field_validator("settings")
    @classmethod
    def _are_new(cls, settings: dict[str, SourcedNumber]) -> dict[str, SourcedNumber]:
        _own_names(settings)
        return settings

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
