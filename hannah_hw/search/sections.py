"""The sections of a search configuration; `hannah_hw.search.config` puts them together."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_serializer,
    field_validator,
)
from pydantic_core import PydanticCustomError

from hannah_hw.errors import InputError
from hannah_hw.quantities import parse_quantity
from hannah_hw.search.algorithms import check_options, find_algorithm
from hannah_hw.search.choosing import AUTO, Order
from hannah_hw.search.metrics import METRICS, Constraint, parse_constraint
from hannah_hw.sources import AudioSource, ImageSource, NpzSource, SeriesSource

Direction = Literal["min", "max"]


def _kind_of_data(value: Any) -> str | None:
    """Which form of the field ``data`` a value has."""
    if isinstance(value, str):
        return "name"
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return str(kind) if kind is not None else None


#: The field ``data``: a name or a path, or a path with options of how it is read.
DataChoice = Annotated[
    Annotated[str, Tag("name")]
    | Annotated[ImageSource, Tag("images")]
    | Annotated[AudioSource, Tag("audio")]
    | Annotated[SeriesSource, Tag("series")]
    | Annotated[NpzSource, Tag("npz")],
    Discriminator(
        _kind_of_data,
        custom_error_type="data_kind",
        custom_error_message="must be text, or a mapping with a path and a kind: images, audio, series or npz",
    ),
]

#: Fields of `SearchSection` that may differ between a run and its continuation: they do not change what is computed.
FREE_TO_CHANGE: Final = ("evaluations", "workers", "timeout", "memory")

#: Worker processes of one machine.
MOST_WORKERS: Final = 1024


class Strict(BaseModel):
    """A section: unknown fields are errors, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Objectives(Strict):
    """What to minimise or maximise; the order of the fields is the order of the objectives."""

    error: Direction | None = None
    balanced_error: Direction | None = None
    macro_f1: Direction | None = None
    latency: Direction | None = None
    energy: Direction | None = None
    ram: Direction | None = None
    flash: Direction | None = None
    area: Direction | None = None
    macs: Direction | None = None
    parameters: Direction | None = None


class Constraints(Strict):
    """Bounds, each ``<= NUMBER UNIT`` or ``>= NUMBER UNIT``."""

    error: Constraint | None = None
    balanced_error: Constraint | None = None
    macro_f1: Constraint | None = None
    latency: Constraint | None = None
    energy: Constraint | None = None
    ram: Constraint | None = None
    flash: Constraint | None = None
    area: Constraint | None = None
    macs: Constraint | None = None
    parameters: Constraint | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _parse(cls, value: object, info: Any) -> object:
        if value is None or isinstance(value, Constraint):
            return value
        try:
            return parse_constraint(str(info.field_name), value)
        except InputError as error:
            raise _problem(error) from error

    @field_serializer("*")
    def _write(self, value: Constraint | None) -> str | None:
        return None if value is None else str(value)


class SpaceChoice(Strict):
    """A search space: a catalogue name or a path, and options for it such as ``input_shape`` and ``classes``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1)

    @property
    def options(self) -> dict[str, Any]:
        """The options, without the name."""
        return dict(self.model_extra or {})


def as_bytes(value: object) -> int | None:
    """A quantity such as ``256 MiB`` as bytes; None stays None."""
    return None if value is None else round(_quantity(value, "bytes"))


def _workers(value: object) -> object:
    """A number of processes, or the address of a scheduler."""
    from hannah_hw.search.distributed import check_address

    if isinstance(value, str):
        try:
            return check_address(value)
        except InputError as error:
            raise _problem(error) from error
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_WORKERS:
        raise ValueError(
            f"must be a number of processes from 1 to {MOST_WORKERS}, or tcp://HOST:PORT of a scheduler"
        )
    return value


class SearchSection(Strict):
    """How to search.

    Attributes:
        algorithm: See `hannah_hw.search.algorithms.find_algorithm`; ``auto``: `hannah_hw.search.choosing.choose`.
        options: Of the algorithm.
        population: Size of the population; None: `hannah_hw.search.choosing.choose`.
        evaluations: Candidates that may be charged.
        seed: Fixes everything.
        workers: Processes, or the address of a dask scheduler.
        timeout: Seconds that one evaluation may take.
        memory: Bytes that a worker may hold.
        lag: Records that the algorithm may not know yet when it is asked for more, so that nobody waits for a
            straggler; None: `hannah_hw.search.choosing.choose_lag`.
        order: ``asked``: the algorithm is told in the order of asking, so that the seed fixes everything.
            ``finished``: in that of finishing, so that no straggler stops anybody, and no two runs are the same; see
            `hannah_hw.search.unordered`.
    """

    algorithm: str = AUTO
    options: dict[str, int | float | str] = Field(default_factory=dict)
    population: int | None = Field(default=None, ge=4, le=10_000)
    evaluations: int = Field(default=200, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    workers: Annotated[int | str, BeforeValidator(_workers)] = 1
    timeout: Annotated[float, BeforeValidator(lambda v: _quantity(v, "seconds"))] = Field(default=600.0, gt=0)
    memory: Annotated[int | None, BeforeValidator(as_bytes)] = Field(default=None, gt=0)
    lag: int | None = Field(default=None, ge=0, le=10_000)
    order: Order = "asked"

    @field_validator("algorithm")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == AUTO:
            return value
        try:
            find_algorithm(value)
        except InputError as error:
            raise _problem(error) from error
        return value

    @field_validator("order")
    @classmethod
    def _without_lag(cls, value: str, info: ValidationInfo) -> str:
        if value == "finished" and info.data.get("lag") is not None:
            raise ValueError("with the order finished nobody waits, so there is no lag; leave out search.lag")
        return value

    @field_validator("options")
    @classmethod
    def _has(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if info.data.get("algorithm") == AUTO and value:
            raise ValueError("options are of one algorithm; name it in search.algorithm")
        if info.data.get("algorithm", AUTO) != AUTO:
            try:
                check_options(info.data["algorithm"], value)
            except InputError as error:
                raise _problem(error) from error
        return value


class MeasureSection(Strict):
    """What is measured after the search.

    Attributes:
        emulate: ``front``: the models of the front are built as firmware and run on the target's emulated core; for an
            Ethos-U they are compiled with its vendor's compiler.
        profile: On a host: ``front``: the models of the front run in ONNX Runtime, and those whose interval holds a
            bound; ``contenders``: all models whose interval reaches the front. What is measured decides what is on
            the front; see `hannah_hw.search.settling`.
        compiler: That builds the firmware; by default zig where it is installed, else gcc.
    """

    emulate: Literal["front"] | None = None
    profile: Literal["front", "contenders"] | None = None
    compiler: Literal["zig", "gcc"] | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything is measured."""
        return self.emulate is not None or self.profile is not None


def _hopes(value: object) -> object:
    """Metric name -> what is hoped for, in base units."""
    if not isinstance(value, dict):
        return value
    for name in value:
        if name not in METRICS:
            raise _problem(InputError(f"unknown metric {name!r}", allowed=sorted(METRICS), given=str(name)))
    return {name: _quantity(hope, METRICS[name].dimension) for name, hope in value.items()}


#: The section ``preference``: objective -> what a user hopes for; see `hannah_hw.search.preference`.
PreferenceSection = Annotated[dict[str, float], BeforeValidator(_hopes)]


def _quantity(value: object, dimension: str) -> float:
    if not isinstance(value, int | float | str):
        raise ValueError(f"must be a number of {dimension}")
    try:
        return parse_quantity(value, dimension)
    except InputError as error:
        raise _problem(error) from error


def _problem(error: InputError) -> PydanticCustomError:
    # The braces of a pydantic template are not wanted in a message that quotes the user.
    return PydanticCustomError("hannah_hw", "{text}", {"text": str(error)})
