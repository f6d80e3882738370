"""What reads a source, by its kind, and whether its files changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hannah_hw.sources.audio import read_audio
from hannah_hw.sources.images import read_images
from hannah_hw.sources.reading import Reading
from hannah_hw.sources.section import AudioSource, ImageSource, SeriesSource
from hannah_hw.sources.series import read_series


def read(source: ImageSource | AudioSource | SeriesSource) -> Reading:
    """Read a source that is made of files.

    Raises:
        DataError: It cannot be used, and which file and why.
        MissingExtraError: The package that reads its files is not installed.
    """
    if isinstance(source, ImageSource):
        return read_images(source)
    return read_audio(source) if isinstance(source, AudioSource) else read_series(source)


def state(path: Path) -> str:
    """A text that changes with the names, the sizes and the times of the files at a path.

    Args:
        path: A file, or a folder with all that lies in it.

    Raises:
        OSError: It cannot be looked at.
    """
    digest = hashlib.blake2b(digest_size=16)
    files = (
        [path]
        if path.is_file()
        else sorted(Path(root) / name for root, _, names in os.walk(path) for name in names)
    )
    for file in files:
        # A link that leads nowhere counts as what it is.
        found = file.stat() if file.exists() else file.lstat()
        digest.update(f"{file.relative_to(path)} {found.st_size} {found.st_mtime_ns};".encode())
    return digest.hexdigest()
