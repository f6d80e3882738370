"""Reading a user's own data: folders of images and of recordings, tables of series, and arrays."""

from hannah_hw.sources.reading import Reading
from hannah_hw.sources.section import (
    AudioSource,
    ImageSource,
    NpzSource,
    SeriesSource,
    Source,
    as_source,
    is_built_in,
    is_source,
)

__all__ = [
    "AudioSource",
    "ImageSource",
    "NpzSource",
    "Reading",
    "SeriesSource",
    "Source",
    "as_source",
    "is_built_in",
    "is_source",
]
