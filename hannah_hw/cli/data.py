"""``hannah-hw data``: what is in a data set, and what is wrong with it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.output import JsonOption, emit, paragraph, table, write

#: Classes that are listed one by one.
_LISTED: Final = 40


def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            autocompletion=completion.data,
            help="A built-in set, a path, or module:function.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="How files are read, as in the field data; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the split; a search has its own.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show what a data set holds as a search sees it: shape, classes, parts, and what is wrong with it.

    - `hannah-hw data mnist5k`
    - `hannah-hw data photos` a folder of images by class; `--set "size=[32, 32]" --set colour=grey`
    - `hannah-hw data commands` a folder of WAV files by class; `--set rate=16kHz --set mels=40`
    - `hannah-hw data walk.csv --set label=activity --set group=subject --set window=128`
    - `hannah-hw data my.npz --json`
    """
    from hannah_hw.cli.options import parse_settings
    from hannah_hw.scoring.describing import describe_data

    options = parse_settings(settings)
    document = describe_data({"path": source, **options} if options else source, seed=seed)
    emit(document, as_json, lambda: _render(document, source, settings or ()))


def _render(found: Mapping[str, Any], source: str, settings: Sequence[str]) -> None:
    shape = " x ".join(map(str, found["input_shape"]))
    axes = " x ".join(found["axes"])
    paragraph(f"{found['name']}: {found['content']} of {shape} ({axes}), {len(found['classes'])} classes")
    for key, value in found["reading"].items():
        paragraph(f"{key.replace('_', ' ')}: {_said(value)}", "  ")
    write("")
    parts = tuple(found["samples"])
    rows = [(c["name"], *(c[part] for part in parts)) for c in found["classes"][:_LISTED]]
    if len(found["classes"]) > _LISTED:
        rows.append((f"... {len(found['classes']) - _LISTED} more", *("" for _ in parts)))
    rows.append(("all", *(found["samples"][part] for part in parts)))
    table(("class", *parts), rows, right=range(1, 4))
    write("")
    interval = found["error_interval"]
    paragraph(
        f"always the commonest class: {100 * found['commonest_error']:.1f} % validation error; one of "
        f"{100 * interval['error']:.0f} % would mean {100 * interval['low']:.1f} to {100 * interval['high']:.1f} % "
        "(95 % interval)"
    )
    for problem, suggestion in zip(found["problems"], found["suggestions"], strict=True):
        write("")
        paragraph(f"! {problem}")
        paragraph(suggestion, "  ")
    write("")
    write(f"next, with your chip: {_next(source, settings)}")


def _next(source: str, settings: Sequence[str]) -> str:
    """The command that searches with what was shown."""
    options = [word for setting in settings for word in ("--set", setting)]
    return shlex.join(["hannah-hw", "init", source, *options, "--target", "stm32l4r5zi"])


def _said(value: object) -> str:
    """A fact in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
