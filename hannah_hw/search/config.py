"""The search configuration: one strict YAML file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hannah_hw import catalog
from hannah_hw.documents import Document, read_document
from hannah_hw.errors import CatalogError, ConfigError, InputError, TargetError
from hannah_hw.quantities import parse_quantity
from hannah_hw.search.algorithms import ALGORITHMS
from hannah_hw.search.metrics import METRICS, Constraint, Goals, parse_constraint
from hannah_hw.search.overrides import Section, override
from hannah_hw.targets import load_target, split_runtime

Direction = Literal["min", "max"]

#: Fields of `SearchSection` that may differ between a run and its continuation: they do not change what is computed.
FREE_TO_CHANGE: Final = ("evaluations", "workers", "timeout")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Objectives(_Strict):
    """What to minimise or maximise; the order of the fields is the order of the objectives."""

    error: Direction | None = None
    latency: Direction | None = None
    energy: Direction | None = None
    ram: Direction | None = None
    flash: Direction | None = None
    area: Direction | None = None
    macs: Direction | None = None
    parameters: Direction | None = None


class Constraints(_Strict):
    """Bounds, each ``<= NUMBER UNIT`` or ``>= NUMBER UNIT``."""

    error: Constraint | None = None
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


class SpaceChoice(_Strict):
    """A search space: a catalogue name or a path, and options for it such as ``input_shape`` and ``classes``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1)

    @property
    def options(self) -> dict[str, Any]:
        """The options, without the name."""
        return dict(self.model_extra or {})


class SearchSection(_Strict):
    """How to search."""

    algorithm: str = "nsga2"
    population: int = Field(default=32, ge=4, le=10_000)
    evaluations: int = Field(default=200, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    workers: int = Field(default=1, ge=1, le=1024)
    timeout: Annotated[float, BeforeValidator(lambda v: _quantity(v, "seconds"))] = Field(default=600.0, gt=0)

    @field_validator("algorithm")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ALGORITHMS:
            raise ValueError(_unknown("algorithm", value, sorted(ALGORITHMS)))
        return value


class MeasureSection(_Strict):
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


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class SearchConfig(_Strict):
    """A search configuration.

    Attributes:
        version: Version of the format.
        space: The search space.
        target: The chip: a catalogue name or a path; ``:RUNTIME`` behind it takes another of its runtimes.
        data: A data set; needed when an objective or a constraint is about the error.
        objectives: At least one.
        constraints: Any number.
        params: Param of the target -> its value, of those that are not searched; all others are part of the search.
            ``default``: none is.
        legalize: Whether the space is narrowed to what the target can run before anything is sampled; see
            `hannah_hw.legalization`.
        training: Options of `hannah_hw.scoring.Training`.
        search: How to search.
        measure: What is measured after it.
        resolved: Facts that a run adds to its copy; ignored when it is read back.
    """

    version: Literal[1]
    space: Annotated[SpaceChoice, BeforeValidator(_named)]
    target: str = Field(min_length=1)
    data: str | None = None
    objectives: Objectives
    constraints: Constraints = Constraints()
    params: Literal["default"] | dict[str, int | float | str] = Field(default_factory=dict)
    legalize: bool = True
    training: dict[str, Any] = Field(default_factory=dict)
    search: SearchSection = SearchSection()
    measure: MeasureSection = MeasureSection()
    resolved: dict[str, Any] | None = None

    @field_validator("objectives")
    @classmethod
    def _some(cls, value: Objectives) -> Objectives:
        if not value.model_dump(exclude_none=True):
            raise ValueError(f"name at least one objective of: {', '.join(METRICS)}")
        return value

    @model_validator(mode="after")
    def _has_data(self) -> Self:
        if self.goals.trained and self.data is None:
            raise ValueError("a goal about the error needs the field 'data', for example 'data: mnist5k'")
        return self

    @property
    def goals(self) -> Goals:
        """Objectives and constraints, ready to use."""
        objectives = {k: v for k, v in self.objectives if v is not None}
        return Goals(objectives, tuple(v for _, v in self.constraints if v is not None))

    def to_dict(self) -> dict[str, Any]:
        """Every field with its value, units turned into base units; ready for YAML and JSON."""
        plain = self.model_dump(exclude={"resolved"})
        for section in ("objectives", "constraints"):
            plain[section] = {k: v for k, v in plain[section].items() if v is not None}
        return plain

    @property
    def hash(self) -> str:
        """16 hex digits that two configurations share if and only if they ask for the same results.

        The fields of `FREE_TO_CHANGE` do not count: a run may be continued with more evaluations or workers. Nor
        does what is measured after the search, which does not see it.
        """
        plain = self.to_dict()
        del plain["measure"]
        plain["search"] = {k: v for k, v in plain["search"].items() if k not in FREE_TO_CHANGE}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SearchConfig:
    """Read a search configuration.

    Relative paths of the space, the target and the data are looked up beside the file and made absolute.

    Args:
        path: The YAML file.
        overrides: ``dotted.key=value`` strings; the value is read as YAML.

    Raises:
        ConfigError: With file, line and field.
    """
    path = Path(path)
    document = read_document(path, ConfigError)
    return validate_config(override(document, overrides), path.resolve().parent)


def validate_config(document: Document, folder: Path | None = None) -> SearchConfig:
    """A parsed document as a configuration; see `load_config`.

    Raises:
        ConfigError: With file, line and field.
    """
    config = document.validate(SearchConfig, ConfigError)
    if config.training:
        _check_training(config.training, document)
    if folder is None:
        return config
    _check_target(config.target, document.where(("target",)), folder)
    _check_name("search_spaces", config.space.name.partition(":")[0], document.where(("space",)), folder)
    name, runtime = split_runtime(config.target)
    behind = "" if runtime is None else f":{runtime}"
    changes: dict[str, Any] = {"target": _absolute(name, folder) + behind}
    changes["space"] = config.space.model_copy(update={"name": _absolute(config.space.name, folder)})
    if config.data is not None:
        changes["data"] = _absolute(config.data, folder)
    return config.model_copy(update=changes)


def _check_name(kind: str, name: str, where: str, folder: Path) -> None:
    """A name that leads nowhere shows with the line of its field."""
    try:
        catalog.find(kind, name, near=folder)
    except CatalogError as error:
        raise ConfigError(str(error), where=where) from error


def _check_target(target: str, where: str, folder: Path) -> None:
    """So does a runtime that the target does not have."""
    name, runtime = split_runtime(target)
    _check_name("targets", name, where, folder)
    if runtime is not None:
        try:
            load_target(f"{catalog.find('targets', name, near=folder)}:{runtime}")
        except TargetError as error:
            raise ConfigError(str(error), where=where) from error


def _check_training(training: Mapping[str, Any], document: Document) -> None:
    """Validate the nested section with the scorer's own model, so that an error names its line."""
    from hannah_hw.search.pipeline import training_model

    nested = Section(document, "training", dict(training))
    nested.validate(training_model(), ConfigError)


def _absolute(name: str, folder: Path) -> str:
    """A path that exists beside the configuration as an absolute one; anything else unchanged."""
    file, colon, function = name.rpartition(":") if ".py:" in name else (name, "", "")
    looks_like_path = len(Path(file).parts) > 1 or Path(file).suffix in (".py", ".yaml", ".yml", ".npz")
    found = folder / Path(file).expanduser()
    return f"{found.resolve()}{colon}{function}" if looks_like_path and found.is_file() else name


def dump_config(config: SearchConfig, resolved: Mapping[str, Any]) -> str:
    """The resolved copy that a run keeps: canonical fields, and what was found out about them."""
    return yaml.safe_dump(
        {**config.to_dict(), "resolved": dict(resolved)}, sort_keys=False, allow_unicode=True
    )


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


def _unknown(kind: str, value: str, allowed: Sequence[str]) -> str:
    near = get_close_matches(value, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {value!r}; allowed: {', '.join(allowed)}{hint}"
