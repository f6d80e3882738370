"""``hannah-hw init``: a first configuration for the user's data and chip."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hannah_hw import catalog
from hannah_hw.cli import completion
from hannah_hw.cli.output import JsonOption, emit, paragraph, say, table, write
from hannah_hw.errors import InputError

if TYPE_CHECKING:
    from hannah_hw.onboarding import Draft

#: Width of a list of names above a question.
_WIDTH: Final = 78


def init(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            autocompletion=completion.data,
            help="Your samples: a file or a folder, as `hannah-hw data` takes it, or a built-in set such as mnist5k.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="How files are read, as in `hannah-hw data`; repeatable."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            metavar="TARGET",
            autocompletion=completion.targets,
            help="The chip: a name of `targets list`, or a path.",
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="SPACE",
            autocompletion=completion.spaces,
            help="The family of networks; by default a ready one that fits.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Where to write it; by default DATA_TARGET.yaml here."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at your data and your chip, and write a commented configuration that `search` takes as it is.

    Chooses a ready space of networks of which random candidates fit the chip, bounds that leave a quarter of its
    memories to your program, and how long to train. Asks for what is missing if there is somebody to ask.

    - `hannah-hw init my_images --target stm32l4r5zi`
    - `hannah-hw init my_images --set size=[48,48] --target nrf5340 --out small.yaml`
    - `hannah-hw init walk.csv --set label=activity --set window=128 --target rp2040`
    """
    from hannah_hw.cli.options import parse_settings
    from hannah_hw.onboarding import configuration_text, draft_config, next_commands, open_chip

    chip = open_chip(target) if target is not None else None
    if data is None or chip is None:
        _check_answerable(as_json, data, target)
    if data is None:
        data = _asked("Your samples (a file, a folder, or a built-in set)", "mnist5k", _check_data)
    if chip is None:
        say(
            textwrap.fill(
                f"chips: {', '.join(catalog.names('targets'))}", _WIDTH, subsequent_indent="       "
            )
        )
        chip = open_chip(_asked("The chip (one of these, or a file of your own)", "stm32l4r5zi", open_chip))
    path = out if out is not None else Path(f"{_stem(data)}_{_stem(chip.given)}.yaml")
    _check_place(path)
    draft = draft_config(data, chip, space=space, reading=parse_settings(settings))
    text = configuration_text(draft, path)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as failure:
        raise InputError(f"cannot write {path}: {failure.strerror or failure}", where="--out") from failure
    commands = next_commands(path)
    emit(_document(draft, path, commands), as_json, lambda: _render(draft, path, commands))


def _check_answerable(as_json: bool, data: str | None, target: str | None) -> None:
    """There must be somebody to ask for what is missing.

    Raises:
        InputError: There is nobody.
    """
    if not as_json and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        return
    missing = " and ".join(name for name, given in (("DATA", data), ("--target", target)) if given is None)
    raise InputError(
        f"give {missing}, for example: hannah-hw init {data or 'my_images'} --target {target or 'stm32l4r5zi'}; "
        f"chips: hannah-hw targets list; built-in data to try with: {', '.join(catalog.DATA_SETS)}",
        where="init",
    )


def _asked(question: str, default: str, check: Callable[[str], object]) -> str:
    """An answer that can be used; asked again until it is."""
    while True:
        answer = str(typer.prompt(question, default=default, err=True))
        try:
            check(answer)
        except InputError as error:
            say(f"error: {error}")
        else:
            return answer


def _check_data(source: str) -> None:
    from hannah_hw.scoring import load_data

    load_data(source)


def _stem(name: str) -> str:
    """A name of a file from what may be a path: letters, digits and underscores."""
    plain = name.partition(":")[0].rstrip("/\\")
    return re.sub(r"[^A-Za-z0-9_-]+", "_", Path(plain).stem).strip("_") or "search"


def _check_place(path: Path) -> None:
    """The file must be new, and one that `search` takes.

    Raises:
        InputError: It is not.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"the name of the file {path} must end in .yaml", where="--out")
    if path.exists():
        raise InputError(f"{path} exists; remove it, or give another place", where="--out")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}; make it first", where="--out")


def _document(draft: Draft, path: Path, commands: Sequence[str]) -> dict[str, Any]:
    fit = draft.fit
    return {
        "file": path,
        "data": draft.facts,
        "target": draft.chip.given,
        "space": fit.space,
        "refused_spaces": fit.refused,
        "objectives": draft.objectives,
        "constraints": draft.chip.bounds,
        "training": draft.training,
        "nominal_training_s": 60.0 * draft.minutes,
        "sampled": fit.priced.sampled,
        "feasible_share": fit.priced.feasible_share,
        "quartiles": fit.priced.quartiles,
        "next": commands,
    }


def _render(draft: Draft, path: Path, commands: Sequence[str]) -> None:
    facts, fit = draft.facts, draft.fit
    shape = " x ".join(map(str, facts["input_shape"]))
    count = sum(facts["samples"].values())
    samples = f"{count:,} samples, {facts['content']} of {shape}, {len(facts['classes'])} classes"
    bounds = ", ".join(f"{name} {bound}" for name, bound in draft.chip.bounds.items())
    own = "the chip's own memories" if draft.chip.summary else "none"
    share = f"{fit.priced.feasible_share:.0%} of {fit.priced.sampled:,} random networks fit"
    rows = [
        ("data", f"{facts['name']}: {samples}"),
        ("target", f"{draft.chip.given}: {draft.chip.target.title}"),
        ("space", f"{fit.space}: {share}"),
        ("constraints", bounds or own),
        ("training", f"nominally {draft.duration} on {draft.workers} processes"),
    ]
    write(f"wrote {path}")
    write("")
    table(("field", "chosen"), rows)
    write("")
    for problem, suggestion in zip(facts["problems"], facts["suggestions"], strict=True):
        paragraph(f"! {problem}")
        paragraph(suggestion, "  ")
        write("")
    write("next:")
    for command in commands:
        write(f"  {command}")
