"""The field ``data`` of a search configuration as a mapping: where a user's data lies, and how it is read.

::

    data: {path: photos, kind: images, size: [32, 32]}
    data: {path: commands, kind: audio, rate: 16 kHz, clip: 1 s, mels: 40}
    data: {path: walk.csv, kind: series, label: activity, group: subject, window: 128, stride: 64}
    data: {path: mine.npz, kind: npz}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from hannah_hw.catalog import DATA_SETS
from hannah_hw.documents import Document
from hannah_hw.errors import DataError, InputError
from hannah_hw.quantities import parse_quantity

#: Suffix of a file -> the kind of source that it is a part of.
SUFFIXES: Final[Mapping[str, str]] = {
    ".png": "images",
    ".jpg": "images",
    ".jpeg": "images",
    ".wav": "audio",
    ".csv": "series",
    ".npz": "npz",
}
#: Files that are looked at to tell what a folder holds.
_LOOKED_AT: Final = 10_000


def _in(dimension: str) -> BeforeValidator:
    """A quantity with a unit, in the base unit of its dimension."""

    def parse(value: Any) -> Any:
        try:
            return None if value is None else parse_quantity(value, dimension)
        except InputError as error:
            raise PydanticCustomError("hannah_hw", "{text}", {"text": str(error)}) from error

    return BeforeValidator(parse)


class _Strict(BaseModel):
    """A source: unknown fields are errors, and nothing changes it.

    Attributes:
        path: A file or a folder; in a configuration it may be relative to that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1)


class ImageSource(_Strict):
    """A folder of images by class: ``CLASS/*.png`` or ``train/CLASS/*.jpg`` with ``test`` and ``val`` beside it.

    Attributes:
        size: Height and width in pixels that images are brought to; None: their own where all have the same and it is
            at most 128 pixels, else 64 by 64.
        colour: ``grey`` (1 channel), ``rgb`` (3), or ``auto``: grey where all images are.
        fit: How other proportions are brought to `size`: ``crop`` the middle, ``stretch``, or ``pad`` with black.
    """

    kind: Literal["images"] = "images"
    size: tuple[Annotated[int, Field(ge=1, le=1024)], Annotated[int, Field(ge=1, le=1024)]] | None = None
    colour: Literal["auto", "grey", "rgb"] = "auto"
    fit: Literal["crop", "stretch", "pad"] = "crop"


class AudioSource(_Strict):
    """A folder of WAV files by class, cut into clips of one length and turned into log-mel spectrograms.

    Attributes:
        rate: Samples a second, in hertz, that recordings are brought to; None: the rate that most of them have.
        clip: Length of a clip in seconds. A longer recording gives several clips, a shorter one is padded with silence.
        frame: Length of a frame in seconds.
        hop: Seconds from one frame to the next.
        mels: Number of mel bands.
        low: Lower end of the lowest band in hertz.
        high: Upper end of the highest band in hertz; None: half of the rate.
        layout: ``image``: a sample is (1, frames, mels), for networks of 2D convolutions; ``series``: (mels, frames),
            for networks that convolve in time.
    """

    kind: Literal["audio"] = "audio"
    rate: Annotated[Annotated[float, Field(ge=100, le=400_000)] | None, _in("hertz")] = None
    clip: Annotated[float, _in("seconds"), Field(gt=0, le=600)] = 1.0
    frame: Annotated[float, _in("seconds"), Field(gt=0, le=1)] = 0.03
    hop: Annotated[float, _in("seconds"), Field(gt=0, le=1)] = 0.02
    mels: Annotated[int, Field(ge=1, le=256)] = 40
    low: Annotated[float, _in("hertz"), Field(ge=0)] = 20.0
    high: Annotated[Annotated[float, Field(gt=0)] | None, _in("hertz")] = None
    layout: Literal["image", "series"] = "image"

    @model_validator(mode="after")
    def _fits(self) -> AudioSource:
        if self.clip < self.frame:
            raise ValueError("clip: a clip is at least as long as a frame")
        return self


class SeriesSource(_Strict):
    """A CSV file of time series, or a folder of such files: one row a time step, cut into windows.

    Attributes:
        label: Column of the class; None: a column called label, class, target, activity or y. In a folder whose files
            lie in one folder a class, the folders are the classes and no column is needed.
        columns: Columns that are the channels; None: all with numbers, but those of `label`, `group` and `time`.
        group: Column of the recording or the subject. All windows of one stay in the same part. None: a column called
            subject, recording, session or the like; where there is none every file is a recording, and in a single
            file the stretches of one class are cut into blocks.
        time: A column that is no channel; rows are taken in the order of the file. None: one called time, timestamp,
            date or index.
        window: Rows a window.
        stride: Rows from the begin of one window to that of the next; None: half of `window`.
        mixed: What becomes of a window with several classes: ``drop`` it, or take the ``majority``.
    """

    kind: Literal["series"] = "series"
    label: str | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=512)] | None = None
    group: str | None = None
    time: str | None = None
    window: Annotated[int, Field(ge=2, le=65_536)] = 64
    stride: Annotated[int, Field(ge=1, le=65_536)] | None = None
    mixed: Literal["drop", "majority"] = "drop"


class NpzSource(_Strict):
    """An ``.npz`` file with the arrays ``x_train``, ``y_train``, ``x_test``, ``y_test``, and ``x_val``, ``y_val``."""

    kind: Literal["npz"] = "npz"


#: A user's data, told apart by ``kind``.
Source: TypeAlias = ImageSource | AudioSource | SeriesSource | NpzSource
_KINDS: Final[Mapping[str, type[Source]]] = {
    "images": ImageSource,
    "audio": AudioSource,
    "series": SeriesSource,
    "npz": NpzSource,
}


def is_built_in(name: str) -> bool:
    """Whether a name is that of a built-in set."""
    return name in DATA_SETS


def is_source(name: str) -> bool:
    """Whether a name is the path of a folder, or of a file of a kind that is read, there or not."""
    return Path(name).suffix.lower() in (".npz", ".csv") or Path(name).expanduser().is_dir()


def as_source(given: str | Path | Mapping[str, Any] | Source) -> Source:
    """A source from what a user gives: a path, whose kind is seen from what lies there, or fields.

    Raises:
        DataError: There is nothing, nothing that is read, or several kinds; or a field is wrong.
    """
    if isinstance(given, _Strict):
        return given
    fields = dict(given) if isinstance(given, Mapping) else {"path": str(given)}
    where = str(fields.get("path", "data"))
    if "kind" not in fields and "path" in fields:
        fields["kind"] = _kind(Path(where).expanduser(), where)
    model = _KINDS.get(str(fields.get("kind")))
    if model is None:
        raise DataError(
            "unknown kind of data", where=where, allowed=list(_KINDS), given=str(fields.get("kind"))
        )
    return Document(where, fields, {}).validate(model, DataError)


def _kind(path: Path, where: str) -> str:
    """What lies at a path."""
    if path.is_dir():
        found = Counter(
            SUFFIXES[file.suffix.lower()]
            for _, file in zip(range(_LOOKED_AT), path.rglob("*"), strict=False)
            if file.suffix.lower() in SUFFIXES and file.suffix.lower() != ".npz"
        )
        if len(found) == 1:
            return next(iter(found))
        if found:
            counts = ", ".join(f"{number} of {kind}" for kind, number in found.most_common())
            raise DataError(
                f"the folder holds files of several kinds ({counts}); say which with 'kind'",
                where=where,
                allowed=list(found),
            )
        raise DataError(
            "the folder holds no file that is read",
            where=where,
            allowed=[f"CLASS/*{suffix}" for suffix in SUFFIXES if suffix != ".npz"],
        )
    if not path.exists():
        raise DataError("there is no such file or folder", where=where)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind in ("series", "npz"):
        return str(kind)
    raise DataError(
        "a single file of this kind is no data set", where=where, allowed=["*.npz", "*.csv", "a folder"]
    )
