"""Compiling C sources to objects that are kept: an object is compiled once for a core, not once for a network.

The key of an object is everything that it is made from: the text of the source and of every header that it
includes by name, the flags, the feature macros that are asserted, and the compiler's version. An object is written
beside its place and renamed, so that processes may share a cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from hannah_hw.cores import Core
from hannah_hw.errors import RunError
from hannah_hw.files import cache_folder, write_atomically
from hannah_hw.firmware.toolchain import Compiler, CompilerError

#: Where our kernels are.
KERNEL_FOLDER: Final = Path(__file__).parent / "kernels"

_INCLUDE: Final = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)
_MARK: Final = "hannah_hw asserts "


def objects_cache() -> Path:
    """`hannah_hw.files.cache_folder`.

    Raises:
        RunError: It cannot be made.
    """
    try:
        return cache_folder()
    except OSError as error:
        raise RunError(
            f"cannot make the cache folder {error.filename}: {error.strerror}; name another one in HANNAH_HW_CACHE"
        ) from error


def feature_assertions(core: Core) -> str:
    """A header that stops the compiler unless it has the features of the core, no fewer and no more."""
    lines = [f"/* What a compiler for {core.title} must define. */"]
    for macro, value in core.features.items():
        wrong = f"defined({macro})" if value is None else f"!defined({macro}) || {macro} != {value}"
        wanted = f"{macro} undefined" if value is None else f"{macro} == {value}"
        lines += [f"#if {wrong}", f'#error "{_MARK}{wanted}"', "#endif"]
    return "\n".join([*lines, ""])


def compile_objects(
    compiler: Compiler,
    sources: Sequence[Path],
    *,
    include: Sequence[Path] = (KERNEL_FOLDER,),
    defines: Mapping[str, str | int] | None = None,
    flags: Sequence[str] = (),
    folder: Path | None = None,
) -> list[Path]:
    """Objects of C or assembly sources, from the cache where they are there.

    Args:
        compiler: The compiler.
        sources: Files.
        include: Folders of headers, after that of the source.
        defines: Macros.
        flags: After all other flags.
        folder: Where the objects are kept in place of the cache: those that nothing else will use.

    Returns:
        Paths in the cache or the folder, in the order of the sources. They may not be changed.

    Raises:
        CompilerError: A source does not compile, or the compiler lacks a feature of the core.
        RunError: A file cannot be read or written.
    """
    shared = objects_cache() / "objects"
    folder = shared if folder is None else folder
    options = [
        *compiler.settings.flags,
        *(f"-D{name}={value}" for name, value in (defines or {}).items()),
        *flags,
    ]
    try:
        shared.mkdir(exist_ok=True)
        if compiler.core is not None:
            options += ["-include", str(_header(shared, feature_assertions(compiler.core)))]
        work = [(source, folder / f"{_key(compiler, options, source, include)}.o") for source in sources]
    except OSError as error:
        raise RunError(f"cannot prepare to compile: {error}") from error
    missing = {target: source for source, target in work if not target.is_file()}
    options += [f"-I{path}" for path in include]
    with ThreadPoolExecutor(max_workers=max(1, min(os.cpu_count() or 1, len(missing)))) as pool:
        list(pool.map(lambda item: _compile(compiler, options, item[1], item[0]), missing.items()))
    return [target for _, target in work]


def compile_object(
    compiler: Compiler,
    source: Path,
    *,
    include: Sequence[Path] = (KERNEL_FOLDER,),
    defines: Mapping[str, str | int] | None = None,
    flags: Sequence[str] = (),
) -> Path:
    """One object; see `compile_objects`."""
    return compile_objects(compiler, [source], include=include, defines=defines, flags=flags)[0]


def _header(folder: Path, text: str) -> Path:
    path = folder / f"features-{hashlib.sha256(text.encode()).hexdigest()[:16]}.h"
    if not path.is_file():
        write_atomically(path, text.encode())
    return path


def _key(compiler: Compiler, options: Iterable[str], source: Path, include: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for text in (
        compiler.version,
        *compiler.command,
        *compiler.settings.machine,
        "",
        *options,
        "",
        source.name,
    ):
        digest.update(text.encode() + b"\0")
    for path, content in _files(source, include):
        digest.update(f"{path.name if path is not None else ''}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def included(source: Path, include: Sequence[Path] = ()) -> list[Path]:
    """A source and the headers that are there of those it includes by ``#include "NAME"``, and they in turn."""
    return [path for path, _ in _files(source, include) if path is not None]


def _files(source: Path, include: Sequence[Path]) -> Iterator[tuple[Path | None, bytes]]:
    """A source and all that it includes by name, also in branches that are not compiled, with their content.

    Yields:
        Path and content; None and the name of a header that is not there: once it is, the key is another.
    """
    waiting, seen = [source], {source}
    while waiting:
        path = waiting.pop()
        content = path.read_bytes()
        yield path, content
        for found in _INCLUDE.findall(content):
            name = os.fsdecode(found)
            header = next((f / name for f in (path.parent, *include) if (f / name).is_file()), None)
            if header is None:
                yield None, found
            elif header not in seen:
                seen.add(header)
                waiting.append(header)


def _compile(compiler: Compiler, options: Sequence[str], source: Path, target: Path) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".compiling-") as folder:
            finished = Path(folder, target.name)
            compiler.run([*options, "-c", str(source), "-o", str(finished)], f"compile {source.name}")
            finished.replace(target)
    except CompilerError as error:
        _explain(compiler, error)
        raise
    except OSError as error:
        raise RunError(f"cannot write {target}: {error}") from error


def _explain(compiler: Compiler, error: CompilerError) -> None:
    """Replace the error by a plainer one where an assertion of `feature_assertions` failed."""
    lacking = list(dict.fromkeys(re.findall(re.escape(_MARK) + r"([^\"'\n]+)", error.output)))
    if lacking:
        raise CompilerError(
            f"{compiler.title} does not have the features of this core: it needs {', '.join(lacking)}; "
            "use another version of the compiler, or the other compiler",
            "",
        ) from error
