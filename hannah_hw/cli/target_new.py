"""``hannah-hw targets new``: a first description of a chip, to be filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.output import JsonOption, emit, write
from hannah_hw.errors import InputError, TargetError

#: Kinds of cost models that there are skeletons for.
KINDS: Final = ("loop_nest", "closed_form", "block", "kernels")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new target, such as my_npu.")],
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="TARGET",
            autocompletion=completion.targets,
            help="Start from a copy of this target.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            autocompletion=completion.words(*KINDS),
            help=f"Start from a commented skeleton: {', '.join(KINDS)}.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to write it; by default NAME.yaml here."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a first description of a chip: a commented skeleton, or a copy of another target.

    It is valid as it is; change it bit by bit, and `hannah-hw targets check FILE` says what each change amounts to.

    - `hannah-hw targets new my_npu`
    - `hannah-hw targets new my_npu --kind closed_form`
    - `hannah-hw targets new my_eyeriss --like eyeriss`
    """
    if like is not None and kind is not None:
        raise InputError("a copy of a target has that one's kind: give one of --like and --kind")
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name: lower-case letters, digits, '_', '-' and '.'",
            where="NAME",
            allowed=("my_npu",),
        )
    path = out if out is not None else Path(f"{name}.yaml")
    if path.suffix != ".yaml":
        raise InputError(f"the name of the file {path} must end in .yaml", where="--out")
    if path.exists():
        raise InputError(f"{path} exists; remove it, or give another place with --out")
    text = _copy(like, name) if like is not None else _skeleton(kind or KINDS[0], name)
    target = _parsed(text, path)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as failure:
        raise InputError(f"cannot write {path}: {failure.strerror or failure}") from failure
    document = {"target": name, "file": path, "model": target}
    emit(document, as_json, lambda: write(f"wrote {path}; next: hannah-hw targets check {path}"))


def _skeleton(kind: str, name: str) -> str:
    from importlib import resources

    if kind == "learned":
        raise InputError(
            f"a host is described by measuring it: `hannah-hw calibrate host --space NAME --out {name}.yaml`",
            where="--kind",
        )
    if kind not in KINDS:
        raise InputError(f"there is no kind {kind!r}", where="--kind", allowed=KINDS, given=kind)
    text = (resources.files("hannah_hw.targets") / "skeletons" / f"{kind}.yaml").read_text("utf-8")
    return text.replace("@NAME@", name)


def _copy(like: str, name: str) -> str:
    """The file of a target with another name."""
    from hannah_hw.targets import load_target

    origin = load_target(like).origin
    if origin is None:
        raise TargetError(f"{like} has no file")
    return re.sub(r"^name:.*$", f"name: {name}", origin.read_text("utf-8"), count=1, flags=re.MULTILINE)


def _parsed(text: str, path: Path) -> str:
    """Kind of the target that a text describes, which must be valid."""
    from hannah_hw.targets import parse_target

    return parse_target(text, str(path)).kind
