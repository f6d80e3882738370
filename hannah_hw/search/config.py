"""The search configuration: one strict YAML file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from hannah_hw import catalog
from hannah_hw.documents import Document, read_document
from hannah_hw.errors import CatalogError, ConfigError, DataError, TargetError
from hannah_hw.search.evaluators import ScoreSection, training_models
from hannah_hw.search.fidelity import FidelitySection
from hannah_hw.search.foresight import PredictorSection, ProxiesSection
from hannah_hw.search.metrics import METRICS, Goals
from hannah_hw.search.overrides import Section, override
from hannah_hw.search.sections import (
    FREE_TO_CHANGE,
    Constraints,
    DataChoice,
    MeasureSection,
    Objectives,
    PreferenceSection,
    SearchSection,
    SpaceChoice,
    Strict,
)
from hannah_hw.sources import is_built_in
from hannah_hw.targets import load_target, split_runtime

if TYPE_CHECKING:
    from hannah_hw.scoring import Dataset

#: Sections about what is done after the search, which does not see it: a finished run may be continued with others.
AFTERWARDS: Final = ("finalists", "measure")
#: Sections whose models `hannah_hw.scoring` has; it is not loaded where none is given.
_TRAINING: Final = ("training", "supernet", "finalists")
#: Sections that are left out of the copy and of the hash where a configuration has none.
_OPTIONAL: Final = ("score", "fidelity", "predictor", "proxies", "supernet", "finalists")


def _called(value: object) -> object:
    return {"function": value} if isinstance(value, str) else value


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class SearchConfig(Strict):
    """A search configuration.

    Attributes:
        version: Version of the format.
        space: The search space.
        target: The chip: a catalogue name or a path; ``:RUNTIME`` behind it takes another of its runtimes.
        data: A data set; needed when an objective or a constraint is about the error. A name, a path, or a path with
            options of how it is read; see `hannah_hw.sources.section`.
        objectives: At least one.
        constraints: Any number.
        preference: Objective -> what is hoped for; see `hannah_hw.search.preference`.
        params: Param of the target -> its value, of those that are not searched; all others are part of the search.
            ``default``: none is.
        legalize: Whether the space is narrowed to what the target can run before anything is sampled; see
            `hannah_hw.legalization`.
        training: Options of `hannah_hw.scoring.Training`.
        score: The user's own trainer, instead of that; see `hannah_hw.scoring.own`.
        fidelity: Candidates are trained in stages, only the better ones to the end; see `hannah_hw.search.fidelity`.
        supernet: The error is that of a supernet's networks; options of `hannah_hw.scoring.supernet.Supernet`.
        predictor: What only training shows is predicted; see `hannah_hw.search.foresight`.
        proxies: Zero-cost proxies are inputs of the predictor.
        search: How to search.
        finalists: The front is fine-tuned after it; options of `hannah_hw.scoring.finetune.Finalists`.
        measure: What is measured then.
        resolved: Facts that a run adds to its copy; ignored when it is read back.
    """

    version: Literal[1]
    space: Annotated[SpaceChoice, BeforeValidator(_named)]
    target: str = Field(min_length=1)
    data: DataChoice | None = None
    objectives: Objectives
    constraints: Constraints = Constraints()
    preference: PreferenceSection = Field(default_factory=dict)
    params: Literal["default"] | dict[str, int | float | str] = Field(default_factory=dict)
    legalize: bool = True
    training: dict[str, Any] = Field(default_factory=dict)
    score: Annotated[ScoreSection | None, BeforeValidator(_called)] = None
    fidelity: FidelitySection | None = None
    supernet: dict[str, Any] | None = None
    predictor: PredictorSection | None = None
    proxies: ProxiesSection | None = None
    search: SearchSection = SearchSection()
    finalists: dict[str, Any] | None = None
    measure: MeasureSection = MeasureSection()
    resolved: dict[str, Any] | None = None
    _data_place: str = PrivateAttr("")

    @field_validator("objectives")
    @classmethod
    def _some(cls, value: Objectives) -> Objectives:
        if not value.model_dump(exclude_none=True):
            raise ValueError(f"name at least one objective of: {', '.join(METRICS)}")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name in self.preference:
            if getattr(self.objectives, name) is None:
                raise ValueError(f"preference: {name!r} is no objective of this search")
        if self.goals.trained and self.data is None and self.score is None:
            raise ValueError("a goal about the error needs the field 'data', for example 'data: mnist5k'")
        if self.fidelity is not None and not self.goals.trained:
            raise ValueError("fidelity cuts a training into stages, but no goal is about the error")
        if self.fidelity is not None and self.fidelity.inherit and self.score is not None:
            raise ValueError(
                "fidelity.inherit is about weights of this package's training, not of your own trainer"
            )
        if self.predictor is not None and not self.goals.trained:
            raise ValueError("predictor predicts what only training shows, but no goal is about the error")
        if self.proxies is not None and (self.predictor is None or self.data is None):
            raise ValueError(
                "proxies are inputs of a predictor, from samples: give 'predictor: {}' and 'data' too"
            )
        for name in ("supernet", "finalists"):
            if getattr(self, name) is not None and (not self.goals.trained or self.score is not None):
                why = "no goal is about the error" if self.score is None else "score has a trainer of its own"
                raise ValueError(f"{name} trains networks, but {why}")
        for name in ("fidelity", "supernet", "finalists"):
            if getattr(self, name) is not None and self.score is None:
                if self.goals.balanced:
                    raise ValueError(
                        f"{name} knows the error alone; without it, balanced_error and macro_f1 can be goals"
                    )
                if self.training.get("folds") is not None:
                    raise ValueError(f"{name} trains once; leave it out, or training.folds")
        if self.supernet is not None and self.fidelity is not None:
            raise ValueError("with a supernet no candidate is trained, so that fidelity has nothing to cut")
        return self

    @property
    def goals(self) -> Goals:
        """Objectives and constraints, ready to use."""
        objectives = {k: v for k, v in self.objectives if v is not None}
        return Goals(objectives, tuple(v for _, v in self.constraints if v is not None), self.preference)

    def dataset(self) -> Dataset:
        """The data set, read and split.

        Raises:
            DataError: It cannot be used; with the line of the configuration that names it.
            MissingExtraError: A package that reads it is not installed.
        """
        from hannah_hw.scoring import load_data

        with self._placed():
            return load_data(self.data if self.data is not None else "", seed=self.search.seed)

    def data_reader(self) -> str | None:
        """The optional package that reads the data; None where none is needed.

        Raises:
            DataError: The files cannot be told apart; with the line of the configuration that names them.
        """
        from hannah_hw.scoring.data import reader_of

        with self._placed():
            return None if self.data is None else reader_of(self.data)

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Errors of the data get the line of the configuration that names it."""
        try:
            yield
        except DataError as error:
            raise DataError(str(error).removeprefix("data: "), where=self._data_place or "data") from error

    def to_dict(self) -> dict[str, Any]:
        """Every field with its value, units turned into base units; ready for YAML and JSON."""
        plain = self.model_dump(exclude={"resolved"})
        for section in ("objectives", "constraints"):
            plain[section] = {k: v for k, v in plain[section].items() if v is not None}
        return {k: v for k, v in plain.items() if v is not None or k not in _OPTIONAL}

    @property
    def hash(self) -> str:
        """16 hex digits that two configurations share if and only if they ask for the same results.

        The fields of `FREE_TO_CHANGE` do not count: a run may be continued with more evaluations or workers. Nor
        do the sections of `AFTERWARDS`.
        """
        plain = {name: value for name, value in self.to_dict().items() if name not in AFTERWARDS}
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
    _check_training(config, document)
    config._data_place = document.where(("data",))
    if folder is None:
        return config
    _check_target(config.target, document.where(("target",)), folder)
    _check_name("search_spaces", config.space.name.partition(":")[0], document.where(("space",)), folder)
    name, runtime = split_runtime(config.target)
    behind = "" if runtime is None else f":{runtime}"
    changes: dict[str, Any] = {"target": _absolute(name, folder) + behind}
    changes["space"] = config.space.model_copy(update={"name": _absolute(config.space.name, folder)})
    if config.data is not None:
        changes["data"] = _beside(config.data, folder)
    if config.score is not None:
        function = _absolute(config.score.function, folder)
        changes["score"] = config.score.model_copy(update={"function": function})
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


def _check_training(config: SearchConfig, document: Document) -> None:
    """Validate the nested sections with the scorer's own models, so that an error names its line."""
    given = {name: options for name in _TRAINING if (options := getattr(config, name))}
    for name, model in training_models().items() if given else ():
        if name in given:
            Section(document, name, dict(given[name])).validate(model, ConfigError)


def _absolute(name: str, folder: Path) -> str:
    """A path that exists beside the configuration as an absolute one; anything else unchanged."""
    file, colon, function = name.rpartition(":") if ".py:" in name else (name, "", "")
    looks_like_path = len(Path(file).parts) > 1 or Path(file).suffix in (
        ".py",
        ".yaml",
        ".yml",
        ".npz",
        ".csv",
    )
    found = folder / Path(file).expanduser()
    return f"{found.resolve()}{colon}{function}" if looks_like_path and found.is_file() else name


def _beside(data: DataChoice, folder: Path) -> DataChoice:
    """A data set whose path exists beside the configuration with an absolute one; anything else unchanged."""
    if isinstance(data, str):
        found = folder / Path(data).expanduser()
        is_folder = found.is_dir() and ":" not in data and not is_built_in(data)
        return str(found.resolve()) if is_folder else _absolute(data, folder)
    found = folder / Path(data.path).expanduser()
    return data.model_copy(update={"path": str(found.resolve())}) if found.exists() else data


def dump_config(config: SearchConfig, resolved: Mapping[str, Any]) -> str:
    """The resolved copy that a run keeps: canonical fields, and what was found out about them."""
    return yaml.safe_dump(
        {**config.to_dict(), "resolved": dict(resolved)}, sort_keys=False, allow_unicode=True
    )
