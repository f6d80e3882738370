"""A folder of images by class as arrays of one size."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError, require
from hannah_hw.sources.folders import files_by_class
from hannah_hw.sources.reading import Reading

if TYPE_CHECKING:
    from PIL.Image import Image

    from hannah_hw.sources.section import ImageSource

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})
#: Most pixels of one image, so that a small file cannot fill the memory.
MAX_PIXELS: Final = 64 << 20
#: Most bytes of all samples.
MAX_BYTES: Final = 4 << 30
#: Longest side at which images of one size keep it.
_KEPT: Final = 128
#: Height and width where nothing is said and images differ or are larger.
_DEFAULT: Final = (64, 64)
_GREY: Final = frozenset({"1", "L", "LA", "I;16", "I"})
#: What damaged files make Pillow raise; the last where their tags are.
_DAMAGED: Final = (OSError, ValueError, SyntaxError, struct.error)


def read_images(source: ImageSource) -> Reading:
    """Images as uint8, (N, channels, height, width); their orientation tags are applied, transparency is dropped.

    Raises:
        DataError: The folder or one of its files cannot be used, and which.
        MissingExtraError: Pillow is not installed.
    """
    require("PIL", "data")
    with warnings.catch_warnings():
        # What is odd about the tags of a file is of no interest where its pixels are whole.
        warnings.simplefilter("ignore", UserWarning)
        return _read(source, Path(source.path).expanduser())


def _read(source: ImageSource, folder: Path) -> Reading:
    filed = files_by_class(folder, SUFFIXES)
    sizes: Counter[tuple[int, int]] = Counter()
    grey = True
    for file in filed.files:
        with _open(file) as image:
            sizes[(image.height, image.width)] += 1
            grey = grey and image.mode in _GREY
    height, width = source.size or _size(sizes)
    channels = 1 if source.colour == "grey" or (source.colour == "auto" and grey) else 3
    total = len(filed.files) * channels * height * width
    if total > MAX_BYTES:
        raise DataError(
            f"{len(filed.files)} images of {channels} x {height} x {width} are {total} bytes, more than the limit of "
            f"{MAX_BYTES}; give a smaller size",
            where=str(folder),
        )
    arrays: dict[str, NDArray[Any]] = {}
    for part, entries in filed.parts.items():
        samples = np.empty((len(entries), channels, height, width), np.uint8)
        for row, (file, _) in zip(samples, entries, strict=True):
            row[:] = _pixels(file, (height, width), channels, source.fit)
        arrays[f"x_{part}"] = samples
        arrays[f"y_{part}"] = np.array([label for _, label in entries], np.int64)
    return Reading(arrays, filed.class_names, _facts(source, filed.ignored, sizes, (channels, height, width)))


def _size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """The size that images are brought to where nothing is said."""
    only = next(iter(sizes))
    return only if len(sizes) == 1 and max(only) <= _KEPT else _DEFAULT


def _facts(
    source: ImageSource, ignored: int, sizes: Counter[tuple[int, int]], shape: tuple[int, int, int]
) -> dict[str, Any]:
    height, width = shape[1:]
    facts: dict[str, Any] = {"format": "images", "colour": "grey" if shape[0] == 1 else "rgb"}
    if set(sizes) == {(height, width)}:
        facts["size"] = f"{height} x {width} pixels, as the files have it"
    else:
        commonest, number = sizes.most_common(1)[0]
        own = f"{len(sizes)} sizes, most often {commonest[0]} x {commonest[1]} ({number} files)"
        facts["size"] = f"{height} x {width} pixels, resized with a bilinear filter ({source.fit}) from {own}"
        if source.size is None:
            facts["size"] += "; choose another with 'size'"
    if ignored:
        facts["ignored_files"] = ignored
    return facts


def _open(file: Path) -> Image:
    """An image of which only the header was read.

    Raises:
        DataError: It is none, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(file, formats=("PNG", "JPEG"))
    except UnidentifiedImageError as error:
        raise DataError(
            "no PNG or JPEG image, or a damaged one; replace or remove it", where=str(file)
        ) from error
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the image: {error}", where=str(file)) from error
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"{image.width} x {image.height} pixels are more than the limit of {MAX_PIXELS}", where=str(file)
        )
    return image


def _pixels(file: Path, size: tuple[int, int], channels: int, fit: str) -> NDArray[np.uint8]:
    """An image as (channels, height, width) of a given size."""
    from PIL import Image, ImageOps

    height, width = size
    with _open(file) as image:
        try:
            turned = ImageOps.exif_transpose(image)
            if turned.mode.startswith("I"):  # 16 bits a pixel
                turned = Image.fromarray(
                    (np.asarray(turned).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)
                )
            plain = turned.convert("L" if channels == 1 else "RGB")
        except _DAMAGED as error:
            raise DataError(
                f"the image is damaged ({error}); replace or remove it", where=str(file)
            ) from error
    if plain.size != (width, height):
        filter_ = Image.Resampling.BILINEAR
        if fit == "stretch":
            plain = plain.resize((width, height), filter_)
        else:
            adapted = ImageOps.fit if fit == "crop" else ImageOps.pad
            plain = adapted(plain, (width, height), filter_)
    values = np.asarray(plain)
    return values[None] if channels == 1 else values.transpose(2, 0, 1)
