"""``hannah-hw spaces``: the catalogue of search spaces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hannah_hw import catalog
from hannah_hw.cli import completion
from hannah_hw.cli.options import parse_settings
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.errors import InputError
from hannah_hw.wording import printable

if TYPE_CHECKING:
    from hannah_hw.legalization import Legalized
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.spaces.summary import SpaceSummary

#: Most values that a table lists one by one.
_LISTED: Final = 8

app = typer.Typer(no_args_is_help=True, help="The search spaces: families of networks.")

SpaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        autocompletion=completion.spaces,
        help="A name of `spaces list`, or a path ending in .py or .yaml.",
    ),
]
OptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="An option of the space, such as classes=10; repeatable."
    ),
]
CodeOption = Annotated[
    bool,
    typer.Option(
        "--allow-code", help="Let block types of a YAML file, such as blocks.py:my_block, execute code."
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
def show(
    space: SpaceArgument,
    options: OptionsOption = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Also draw the graph into an SVG file.")
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, max=1_000_000, help="Random candidates that are looked at.")
    ] = 2000,
    allow_code: CodeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a search space: its size, its parameters, its graph by scope, what its candidates cost.

    The ranges of multiply-accumulates and trained weights are those of random candidates, no bounds.

    - `hannah-hw spaces show ds_cnn`
    - `hannah-hw spaces show ds_cnn --set input_shape=[1,28,28] --set classes=10`
    - `hannah-hw spaces show resnet --svg resnet.svg`
    """
    from hannah_hw.spaces.summary import summarise

    loaded = _load(space, options, allow_code)
    summary = summarise(loaded, samples=samples)
    document = asdict(summary)
    if svg is not None:
        from hannah_hw.files import write_atomically
        from hannah_hw.report.space_drawing import draw_space

        try:
            write_atomically(svg, draw_space(loaded).encode())
        except OSError as error:
            raise InputError(f"cannot write {svg}: {error.strerror or error}", where="--svg") from error
        document["svg"] = svg
    emit(document, as_json, lambda: _render(summary))
    if svg is not None and not as_json:
        say(f"drawn into {svg}")


@app.command("sample")
def sample(
    space: SpaceArgument,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="How many candidates.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the generator.")] = 0,
    options: OptionsOption = None,
    allow_code: CodeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw random candidates of a search space.

    - `hannah-hw spaces sample ds_cnn --count 5 --seed 1`
    - `hannah-hw spaces sample ds_cnn --json` prints the parameters too
    """
    loaded = _load(space, options, allow_code)
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


@app.command("legalize")
def legalize(
    space: SpaceArgument,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            metavar="TARGET",
            autocompletion=completion.targets,
            help="A name of `targets list`, or a path.",
        ),
    ],
    options: OptionsOption = None,
    allow_code: CodeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Narrow a search space to what a target can run, and show what was removed by which rule.

    A search does this by itself, unless its configuration says `legalize: false`.

    - `hannah-hw spaces legalize nas_bench_201 --target stm32l4r5zi:cmsis_nn`
    - `hannah-hw spaces legalize my.py --target my_chip.yaml --json`
    """
    from hannah_hw.legalization import legalize

    found = legalize(_load(space, options, allow_code), target)
    emit(found.to_dict(), as_json, lambda: _render_legalized(found))


@app.command("schema")
def schema(as_json: JsonOption = False) -> None:
    """Print the JSON Schema of YAML search spaces, for editors; `--json` changes nothing.

    - `hannah-hw spaces schema > hannah-space.schema.json`, and as the first line of a space:
      `# yaml-language-server: $schema=hannah-space.schema.json`
    """
    from hannah_hw.spaces.declarative.schema import json_schema

    document = json_schema()
    emit(document, as_json, lambda: write(json.dumps(document, indent=2)))


@app.command("upgrade")
def upgrade(
    space: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            autocompletion=completion.spaces,
            help="A YAML search space, of Vega 0.9.3 too: its path or name.",
        ),
    ],
    allow_code: CodeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print a YAML search space in the format of this version: hannah-space/1, without comments.

    - `hannah-hw spaces upgrade vega.yaml > space.yaml`
    """
    from hannah_hw.spaces.declarative.document import load_document
    from hannah_hw.spaces.declarative.dump import dump, to_data

    file = catalog.find("search_spaces", space)
    if file.suffix == ".py":
        raise InputError("it is a Python file; only YAML has a format to upgrade", where=str(file))
    document = load_document(file, allow_code=allow_code)
    emit(to_data(document), as_json, lambda: write(dump(document).rstrip()))


def _render(summary: SpaceSummary) -> None:
    from hannah_hw.spaces.summary import graph_rows

    write(f"{summary.space}: {summary.nodes:,} nodes, {len(summary.parameters)} parameters")
    write(f"assignments  {_number(summary.assignments, 'infinitely many')}")
    write(f"candidates   {'not counted' if summary.candidates is None else summary.candidates}")
    if summary.algorithm is not None:
        write(f"algorithm    {summary.algorithm}, unless the configuration of a search names another")
    which = f"all {summary.sampled:,}" if summary.exhaustive else f"{summary.sampled:,} random"
    write(f"\nOf {which} candidates:")
    spreads = (("MACs", summary.macs), ("trained weights", summary.weights))
    lines = [
        (name, f"{s.default:,}", f"{s.least:,}", f"{s.median:,.0f}", f"{s.most:,}") for name, s in spreads
    ]
    table(("", "default", "least", "median", "most"), lines, right=(1, 2, 3, 4))
    if summary.parameters:
        write("")
        rows = [(p.id, p.kind, p.levels or "continuous", p.values, p.default) for p in summary.parameters]
        table(("parameter", "kind", "levels", "values", "default"), rows, right=[2])
    write("")
    tree = [
        (name, what, "x".join(map(str, shape)) if shape else None)
        for name, what, shape in graph_rows(summary.graph)
    ]
    table(("scope or choice", "operators or options", "default shape"), tree)
    if summary.conditions:
        write("\nConditions:")
        for text, nodes in summary.conditions.items():
            others = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
            write(printable(f"  {text}, at {nodes[0]}{others}"))


def _render_legalized(found: Legalized) -> None:
    write(str(found))
    if found.removed:
        write("")
        rows = [
            (
                removal.parameter,
                _listing(removal.values),
                _listing(removal.left),
                "; ".join(dict.fromkeys(rule.text for rule in removal.rules)),
            )
            for removal in found.removed
        ]
        table(("parameter", "removed", "left", "rule"), rows)
    parts = (
        ("Conditions that samples and variations keep:", found.conditions),
        ("Left to pricing, as no network was found that keeps them:", found.priced),
    )
    for title, rules in parts:
        if rules:
            write(f"\n{title}")
        for rule in rules:
            write(printable(f"  {rule}"))
    if found.before != found.after:
        write(
            f"\nassignments  {_number(found.before, 'infinitely many')} -> {_number(found.after, 'infinitely many')}"
        )


def _listing(values: Sequence[object]) -> str:
    """Some values, the middle of many left out."""
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= _LISTED else [*texts[:3], "...", texts[-1]])


def _number(value: int | None, none: str) -> str:
    """A count; the word for none where there is none."""
    from hannah_hw.spaces.counting import counted

    return none if value is None else counted(value)


def _load(name: str, options: Sequence[str] | None, allow_code: bool) -> SearchSpace:
    from hannah_hw.spaces import open_space

    return open_space(name, parse_settings(options), allow_code=allow_code)
