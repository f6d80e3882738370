"""``hannah-hw spaces``: the catalogue of search spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw import catalog
from hannah_hw.cli.options import parse_settings
from hannah_hw.cli.output import JsonOption, emit, table, write

if TYPE_CHECKING:
    from hannah_hw.spaces import SearchSpace

app = typer.Typer(no_args_is_help=True, help="The search spaces: families of networks.")

SpaceArgument = Annotated[
    str, typer.Argument(metavar="SPACE", help="A name of `spaces list`, or a path ending in .py or .yaml.")
]
OptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="An option of the space, such as classes=10; repeatable."
    ),
]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the search spaces of the catalogue.

    Folders in the environment variable HANNAH_HW_PATH are searched first.

    - `hannah-hw spaces list`
    """
    document = [
        {"name": name, "file": catalog.find("search_spaces", name)} for name in catalog.names("search_spaces")
    ]
    rows = [(entry["name"], entry["file"]) for entry in document]
    emit(document, as_json, lambda: table(("name", "file"), rows))


@app.command("show")
def show(space: SpaceArgument, options: OptionsOption = None, as_json: JsonOption = False) -> None:
    """Show the parameters of a search space: their levels and defaults.

    - `hannah-hw spaces show ds_cnn`
    - `hannah-hw spaces show ds_cnn --set input_shape=[1,28,28] --set classes=10`
    """
    loaded = _load(space, options)
    encoding = loaded.encoding
    default = encoding.assignment(encoding.default).to_dict()
    parameters = [
        {
            "id": name,
            "levels": int(levels) or None,
            "ordered": bool(ordered),
            "default": default.get(name),
        }
        for name, levels, ordered in zip(encoding.ids, encoding.levels, encoding.ordered, strict=True)
    ]
    document = {"space": loaded.name, "options": loaded.options, "parameters": parameters}

    def render() -> None:
        write(f"{loaded.name}: {len(parameters)} parameters")
        rows = [
            (
                row["id"],
                row["levels"] or "continuous",
                "ordered" if row["ordered"] else "choice",
                row["default"],
            )
            for row in parameters
        ]
        table(("parameter", "levels", "kind", "default"), rows, right=[1])

    emit(document, as_json, render)


@app.command("sample")
def sample(
    space: SpaceArgument,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="How many candidates.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the generator.")] = 0,
    options: OptionsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw random candidates of a search space.

    - `hannah-hw spaces sample ds_cnn --count 5 --seed 1`
    - `hannah-hw spaces sample ds_cnn --json` prints the parameters too
    """
    loaded = _load(space, options)
    rows = loaded.sample_population(count, seed)
    candidates = [loaded.candidate(loaded.encoding.assignment(row)) for row in rows]
    document = [
        {
            "id": candidate.id,
            "macs": candidate.macs,
            "parameters": candidate.parameters,
            "assignment": loaded.encoding.assignment(row).to_dict(),
        }
        for candidate, row in zip(candidates, rows, strict=True)
    ]
    lines = [(entry["id"], entry["macs"], entry["parameters"]) for entry in document]
    emit(document, as_json, lambda: table(("candidate", "MACs", "parameters"), lines, right=(1, 2)))


def _load(name: str, options: Sequence[str] | None) -> SearchSpace:
    from hannah_hw.spaces import load_space

    return load_space(name, **parse_settings(options))
