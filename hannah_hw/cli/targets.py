"""``hannah-hw targets``: the catalogue of chips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.output import JsonOption, emit, table, write
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.targets import Accelerator, Host, Target

app = typer.Typer(no_args_is_help=True, help="The chips and machines that models can be priced for.")

#: What hosts can run.
EVERY_OPERATOR: Final = "all that ONNX Runtime runs; a kernel of a class that was not measured has no price"

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        autocompletion=completion.targets,
        help="A name of `targets list`, or a path ending in .yaml; NAME:RUNTIME takes another runtime.",
    ),
]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the targets of the catalogue.

    Folders in the environment variable HANNAH_HW_PATH are searched first.

    - `hannah-hw targets list`
    """
    from hannah_hw.targets import Accelerator, Host, Microcontroller, list_targets, load_target

    found = [load_target(name) for name in list_targets()]
    document = [_entry(target) for target in found]
    chips = [target for target in found if isinstance(target, Microcontroller)]
    rows = [
        (
            target.name,
            target.processor.title,
            ", ".join(target.model.runtimes),
            format_si(target.clock_hz, "Hz"),
            format_bytes(target.ram_bytes),
            format_bytes(target.flash_bytes),
            target.title,
        )
        for target in chips
    ]
    names = ("name", "core", "runtimes", "clock", "RAM", "flash", "title")
    accelerators = [
        _accelerator_row(target, _entry(target)) for target in found if isinstance(target, Accelerator)
    ]
    hosts = [_host_row(target) for target in found if isinstance(target, Host)]

    def render() -> None:
        write("Microcontrollers")
        table(names, rows, right=(3, 4, 5), spare=("runtimes",))
        if accelerators:
            write("")
            write("Accelerators")
            shown = ("name", "model", "MACs/cycle", "clock", "on chip", "params", "title")
            table(shown, accelerators, right=(2, 3, 4), spare=("params", "model"))
        if hosts:
            write("")
            write("Hosts")
            table(("name", "processor", "ONNX Runtime", "threads", "candidates", "title"), hosts, right=(3,))

    emit(document, as_json, render)


def _host_row(target: Host) -> tuple[object, ...]:
    runtime = target.runtime
    return (
        target.name,
        runtime.processor,
        runtime.version,
        runtime.threads,
        target.model.precision,
        target.title,
    )


def _accelerator_row(target: Accelerator, entry: dict[str, Any]) -> tuple[object, ...]:
    return (
        target.name,
        target.kind,
        entry["macs_per_cycle"] or None,
        format_si(target.clock_hz, "Hz"),
        format_bytes(entry["on_chip_bytes"]),
        ", ".join(entry["params"]) or None,
        target.title,
    )


def _entry(target: Target) -> dict[str, Any]:
    """A target in the list."""
    from hannah_hw.targets import Accelerator, Host, Microcontroller

    entry: dict[str, Any] = {
        "name": target.name,
        "title": target.title,
        "family": target.family,
        "model": target.kind,
        **target.capacities,
    }
    if isinstance(target, Microcontroller):
        entry |= {
            "clock_hz": target.clock_hz,
            "core": target.core,
            "runtime": target.model.runtime,
            "runtimes": list(target.model.runtimes),
        }
    if isinstance(target, Accelerator):
        from hannah_hw.targets.advice import multipliers, on_chip_bytes

        entry |= {
            "clock_hz": target.clock_hz,
            "macs_per_cycle": multipliers(target),
            "on_chip_bytes": on_chip_bytes(target),
            "params": list(target.params),
        }
    if isinstance(target, Host):
        entry |= {"runtime": target.runtime.model_dump(), "precision": target.model.precision}
    return entry


@app.command("show")
def show(target: TargetArgument, as_json: JsonOption = False) -> None:
    """Show everything a target says, with the source of its figures; of an accelerator, its memories as a drawing.

    - `hannah-hw targets show stm32l4r5zi`
    - `hannah-hw targets show stm32l4r5zi:cmsis_nn`
    - `hannah-hw targets show eyeriss`
    - `hannah-hw targets show 'ultratrail[pe=16,wmem=128KiB]'`
    - `hannah-hw targets show ./my_host.yaml:int8`
    - `hannah-hw targets show ./my_chip.yaml --json`
    """
    from hannah_hw.targets import Accelerator, describe_target, load_target

    loaded = load_target(target)
    document = describe_target(loaded)

    def render() -> None:
        if not isinstance(loaded, Accelerator):
            _facts(document)
            return
        from hannah_hw.targets.drawing import draw, sources

        drawn = draw(loaded)
        # The drawing says what these say; --json has them all.
        inside = ("memories", "array", "dataflow", "on_chip") if drawn else ()
        shown = {key: value for key, value in document.items() if key not in (*inside, "assignment")}
        _facts({**shown, "params": _params(loaded)}, drawn, sources(loaded))

    emit(document, as_json, render)


@app.command("check")
def check(target: TargetArgument, as_json: JsonOption = False) -> None:
    """Check a target file, and say what it amounts to.

    A wrong file is named with its line, the field and what is allowed; the exit code is then 2. Of a microcontroller,
    the cost models that its runtimes refer to are checked too. Of an accelerator, what was understood is shown (peak,
    memories, area, how often values have to be used so that the array need not wait), what four layers cost, and
    warnings about what is likely to be a mistake. Of a host, how wrong what was learned is, and whether this is it.

    - `hannah-hw targets check ./my_chip.yaml`
    """
    from hannah_hw.cli import target_checks
    from hannah_hw.cost import load_cost_model
    from hannah_hw.targets import Accelerator, Host, load_target, microcontroller

    loaded = load_target(target)
    if isinstance(loaded, Accelerator):
        accelerator, found = loaded, target_checks.checked(loaded)
        emit(found, as_json, lambda: target_checks.render(accelerator, found, target))
        return
    if isinstance(loaded, Host):
        from hannah_hw.cli import host_report

        machine, document = loaded, host_report.checked(loaded)
        emit(document, as_json, lambda: host_report.render(machine, document))
        return
    loaded = microcontroller(loaded, "targets check")
    near = loaded.origin.parent if loaded.origin is not None else None
    models = {
        name: load_cost_model(runtime.coefficients, near=near)
        for name, runtime in loaded.model.runtimes.items()
    }
    used = models[loaded.model.runtime]
    document = {
        "target": loaded.name,
        "file": loaded.origin,
        "runtime": loaded.model.runtime,
        "operators": len(loaded.ops),
        "cost_model": used.name,
        "cost_models": {name: model.name for name, model in models.items()},
        "kernel_classes": list(used.classes),
        "valid": True,
    }
    text = f"{loaded.origin}: valid, {len(loaded.ops)} operator rules, cost model {used.name}"

    def render() -> None:
        write(text)
        write(f"next: {target_checks.pricing(target)}")

    emit(document, as_json, render)


def _params(target: Accelerator) -> dict[str, str]:
    """Param -> its value and those that it may have."""
    return {
        name: f"{chosen}, of {len(target.params[name].levels)} values {target.params[name].levels[0]} to "
        f"{target.params[name].levels[-1]}"
        + (f": {target.params[name].title}" if target.params[name].title else "")
        for name, chosen in target.chosen.items()
    }


def _facts(
    document: dict[str, Any], drawing: Sequence[str] = (), sources: Sequence[tuple[str, ...]] = ()
) -> None:
    rows = []
    for key, value in document.items():
        if key == "operators":
            continue
        rows += _flat(value, key)
    table(("field", "value"), rows)
    write("")
    for line in drawing:
        write(line)
    if drawing:
        write("")
    if sources:
        table(("figures of the drawing", "source", "reference"), sources)
        write("")
    _operators(document["operators"])


def _operators(operators: dict[str, list[list[str]]]) -> None:
    if not operators:
        write(f"operators: {EVERY_OPERATOR}")
        return
    rows = [(kind, "; ".join(rule) or "always") for kind, rules in operators.items() for rule in rules]
    table(("operator", "runs when all of these hold"), rows)


def _flat(value: Any, prefix: str) -> list[tuple[str, str]]:
    if value == [] or value == {}:
        return []
    if isinstance(value, dict) and "value" in value and "source" in value:
        error = f" (± {100 * value['error']:.3g} %)" if value.get("error") is not None else ""
        return [(prefix, f"{value['value']:g}{error}, {value['source']}: {value['reference']}")]
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _flat(item, f"{prefix}.{key}")]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [row for i, item in enumerate(value) for row in _flat(item, f"{prefix}.{i}")]
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    if isinstance(value, int | float) and prefix.endswith("_bytes"):
        value = f"{value:.0f} ({format_bytes(value)})"
    elif isinstance(value, int | float) and prefix.endswith("_hz"):
        value = f"{value:g} ({format_si(value, 'Hz')})"
    elif isinstance(value, float):
        value = f"{value:.6g}"
    return [(prefix, str(value))] if value is not None else []
