"""A data set in three parts: what is trained on, what a search sees, and what it never sees."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.scoring.parts import cut_missing

if TYPE_CHECKING:
    from hannah_hw.sources.log_mel import LogMel

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Samples and labels, split and normalised.

    Samples are float32, (N, C, H, W) for images and (N, C, L) for sequences, normalised by channel as
    ``(x - mean) / std`` with constants from the training part alone. Labels are int64, ``0 .. classes - 1``.

    Attributes:
        name: What it was loaded as.
        classes: Number of classes.
        seed: Seed of the split.
        mean: Mean of each channel of the training part, before normalisation.
        std: Standard deviation of each channel of the training part, 1 where a channel is constant.
        scale: What a raw value was multiplied by before that (1/255 for uint8).
        sha256: Hash of the raw arrays, before splitting.
        class_names: Name of each class; empty where the source numbers them.
        reading: How the source was read: sizes, rates, resizing; JSON-able.
        groups_train: (N,) recording of each training sample, where samples of one must stay together; else None.
        groups_val: The same of the validation part.
        front_end: What turned waveforms into samples; None where the source holds samples.
    """

    name: str
    classes: int
    x_train: Floats
    y_train: Labels
    x_val: Floats
    y_val: Labels
    x_test: Floats
    y_test: Labels
    seed: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    sha256: str
    class_names: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    groups_train: Labels | None = None
    groups_val: Labels | None = None
    front_end: LogMel | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) or (C, L)."""
        return tuple(self.x_train.shape[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each class; its number where the source names none."""
        return self.class_names or tuple(str(label) for label in range(self.classes))

    def counts(self) -> dict[str, list[int]]:
        """Samples of each class in the parts ``train``, ``validation`` and ``test``."""
        parts = {"train": self.y_train, "validation": self.y_val, "test": self.y_test}
        return {part: np.bincount(y, minlength=self.classes).tolist() for part, y in parts.items()}

    def summary(self) -> dict[str, Any]:
        """What a run states about its data; JSON-able."""
        counts = self.counts() if self.class_names else {}
        own = {"class_names": list(self.class_names), "class_counts": counts, "reading": dict(self.reading)}
        return {
            "name": self.name,
            "classes": self.classes,
            "input_shape": list(self.input_shape),
            "train": len(self.y_train),
            "validation": len(self.y_val),
            "test": len(self.y_test),
            "seed": self.seed,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
            "sha256": self.sha256,
            **{key: value for key, value in own.items() if value},
        }


def build_dataset(
    name: str,
    arrays: Mapping[str, Any],
    *,
    seed: int,
    where: str = "",
    series: bool = False,
    groups: Labels | None = None,
    class_names: Sequence[str] = (),
) -> Dataset:
    """Check, split and normalise the arrays of a source.

    Args:
        name: What the data set is called.
        arrays: ``x_train`` and ``y_train``; ``x_test`` and ``y_test`` where the source has its own test
            part; ``x_val`` and ``y_val`` where it has its own validation part. Parts that are missing are cut
            from the training part, by class. Samples are (N, C, H, W), (N, H, W) or (N, C, L);
            of three axes the last two are rows and columns when they are equal, channels and time otherwise.
        seed: Seed of the split.
        where: File or function, for messages.
        series: Of three axes the last two are channels and time, equal or not.
        groups: (N,) recording of each training sample; those of one stay in the same part.
        class_names: In the order of the labels; empty: they are numbered.

    Raises:
        DataError: An array is missing or unusable, and why.
    """
    given = {key: _array(value, f"{where} {key}".strip()) for key, value in arrays.items()}
    for part in ("train", "test", "val"):
        pair = {f"x_{part}", f"y_{part}"}
        missing = pair - given.keys()
        if missing and (part == "train" or len(missing) == 1):
            raise DataError(
                f"the array {min(missing)!r} is missing (found: {', '.join(sorted(given)) or 'none'}); "
                "x_train and y_train are needed, x_test and y_test are the test part",
                where=where,
            )
    parts = [part for part in ("train", "val", "test") if f"x_{part}" in given]
    types = {part: given[f"x_{part}"].dtype for part in parts}
    if len({kind == np.uint8 for kind in types.values()}) > 1:
        raise DataError(
            f"the samples are of different types ({', '.join(f'x_{p} {t}' for p, t in types.items())}); "
            "uint8 is scaled by 1/255 and the rest is not, so all parts need the same",
            where=where,
        )
    digest = _digest({f"{axis}_{part}": given[f"{axis}_{part}"] for part in parts for axis in "xy"})
    scale = 1.0 / 255.0 if given["x_train"].dtype == np.uint8 else 1.0
    x = {
        part: _samples(given[f"x_{part}"], scale, f"{where} x_{part}".strip(), series=series)
        for part in parts
    }
    y = {part: _labels(given[f"y_{part}"], len(x[part]), f"{where} y_{part}".strip()) for part in parts}
    _check_classes(x, y, where, class_names)
    kept = {} if groups is None else {"train": groups}
    try:
        cut_missing(x, y, kept, np.random.default_rng(seed), class_names)
    except DataError as error:
        raise DataError(str(error), where=where) from error
    axes = (0, *range(2, x["train"].ndim))
    mean = x["train"].mean(axis=axes, dtype=np.float64)
    std = x["train"].std(axis=axes, dtype=np.float64)
    std = np.where(std > 0, std, 1.0)
    shape = (1, -1) + (1,) * (x["train"].ndim - 2)
    x = {
        part: np.ascontiguousarray((v - mean.reshape(shape)) / std.reshape(shape), np.float32)
        for part, v in x.items()
    }
    return Dataset(
        name=name,
        classes=int(y["train"].max()) + 1,
        x_train=x["train"],
        y_train=y["train"],
        x_val=x["val"],
        y_val=y["val"],
        x_test=x["test"],
        y_test=y["test"],
        seed=seed,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        scale=scale,
        sha256=digest,
        class_names=tuple(class_names),
        groups_train=kept.get("train"),
        groups_val=kept.get("val"),
    )


def _array(value: object, where: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"not an array: {error}", where=where) from error


def _samples(values: NDArray[Any], scale: float, where: str, *, series: bool) -> Floats:
    if values.dtype.kind not in "uif":
        raise DataError(f"samples must be numbers, not {values.dtype}", where=where)
    if values.ndim == 3 and values.shape[1] == values.shape[2] and not series:
        values = values[:, None]
    if values.ndim not in (3, 4) or 0 in values.shape:
        raise DataError(
            f"samples of shape {values.shape} cannot be used",
            where=where,
            allowed=["(N, C, H, W)", "(N, H, W)", "(N, C, L)", "all axes at least 1"],
        )
    with np.errstate(over="ignore"):
        samples = values.astype(np.float32) * np.float32(scale)
    if not np.isfinite(samples).all():
        bad = int(np.flatnonzero(~np.isfinite(samples.reshape(len(samples), -1)).all(axis=1))[0])
        raise DataError(
            f"sample {bad} holds NaN, infinity or a value beyond float32; remove or replace it", where=where
        )
    return samples


def _labels(values: NDArray[Any], samples: int, where: str) -> Labels:
    if values.shape != (samples,):
        hint = "; one-hot labels: give argmax(axis=1)" if values.ndim == 2 else ""
        raise DataError(
            f"labels of shape {values.shape} do not match {samples} samples; "
            f"needed: one class index a sample, ({samples},){hint}",
            where=where,
        )
    if values.dtype.kind not in "ui":
        raise DataError(f"labels must be integers 0 .. classes - 1, not {values.dtype}", where=where)
    if values.min() < 0 or values.max() >= 1 << 16:
        bad = values.min() if values.min() < 0 else values.max()
        raise DataError(f"the label {bad} is out of range; labels are 0 .. classes - 1", where=where)
    return values.astype(np.int64)


def _check_classes(
    x: Mapping[str, Floats], y: Mapping[str, Labels], where: str, names: Sequence[str]
) -> None:
    """Parts agree in sample shape and classes, and every class has training samples."""
    counts = np.bincount(y["train"])
    classes = len(counts)
    if classes < 2:
        raise DataError("all training labels are the same; at least two classes are needed", where=where)
    if (counts == 0).any():
        first = int(np.argmin(counts))
        raise DataError(
            f"class {names[first] if names else first} of {classes} has no training sample; "
            "number the classes 0 .. classes - 1 without gaps",
            where=where,
        )
    for part in x:
        if x[part].shape[1:] != x["train"].shape[1:]:
            raise DataError(
                f"samples of x_{part} have the shape {x[part].shape[1:]}, those of x_train "
                f"{x['train'].shape[1:]}; all parts need the same",
                where=where,
            )
        if y[part].max() >= classes:
            raise DataError(
                f"y_{part} holds the label {int(y[part].max())}, which is out of range: "
                f"y_train has the classes 0 .. {classes - 1}",
                where=where,
            )


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        digest.update(f"{name} {values.dtype.str} {values.shape};".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
