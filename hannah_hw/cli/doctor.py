"""``hannah-hw doctor``: what is installed, what it enables, what is missing and what is broken."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from hannah_hw.cli.output import JsonOption, emit, say, table, write


def own_version() -> str:
    """Version of hannah-hw; ``unknown`` in a checkout that is not installed."""
    import importlib.metadata

    try:
        return importlib.metadata.version("hannah-hw")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Look up versions alone: import nothing, start no programs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is installed and works, what it enables, what is missing, and how to install it.

    Imports every package and starts every program, which takes some seconds. Exits with 1 when something that every
    verb needs is missing or broken.

    - `hannah-hw doctor`
    - `hannah-hw doctor --quick`
    - `hannah-hw doctor --json`, for a bug report
    """
    from hannah_hw.onboarding.health import examine

    if not quick and sys.stderr is not None and sys.stderr.isatty():
        say("importing packages and starting programs; some seconds ...")
    document = {"hannah_hw": own_version(), **examine(tried=not quick)}
    emit(document, as_json, lambda: _render(document))
    for warning in document["warnings"]:
        say(f"warning: {warning}")
    for problem in document["problems"]:
        say(f"problem: {problem}")
    if document["problems"]:
        raise typer.Exit(1)


def _render(document: dict[str, Any]) -> None:
    write(f"hannah-hw {document['hannah_hw']}, Python {document['python']}, {document['cores']} cores")
    write(f"{document['executable']} on {document['platform']}")
    writable = "" if document["working_folder_writable"] else ", not writable: give --out a folder that is"
    write(f"working folder {document['working_folder']}{writable}")
    write("")
    packages = [(name, version or "missing") for name, version in document["core_packages"].items()]
    table(("needed package", "version"), packages)
    optional = document["optional_packages"].items()
    rows = [
        (name, facts["version"] + _broken(facts), facts["enables"])
        for name, facts in optional
        if facts["version"]
    ]
    if rows:
        write("")
        table(("optional package", "version", "enables"), rows)
    programs = document["programs"].items()
    rows = [(name, _broken(facts) or "works", facts["enables"]) for name, facts in programs if facts["path"]]
    if rows:
        write("")
        table(("program", "", "enables"), rows)
    missing = [(name, facts) for name, facts in optional if not facts["version"]]
    missing += [(name, facts) for name, facts in programs if not facts["path"]]
    if missing:
        write("")
        rows = [(name, facts["install"], facts["enables"]) for name, facts in missing]
        table(("not installed", "install with", "would enable"), rows)
    write("")
    none = "none; pip install 'hannah-hw[emulate]' brings one"
    compilers = [(place, ", ".join(found) or none) for place, found in document["compilers"].items()]
    table(("C for", "compilers"), compilers)
    write("")
    table(("catalogue", "entries"), document["catalogues"].items(), right=[1])


def _broken(facts: dict[str, Any]) -> str:
    return " broken" if facts["works"] is False else ""
