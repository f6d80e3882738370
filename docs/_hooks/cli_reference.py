"""The page of the command line, written from the help texts while the documentation is built.

mkdocs calls `on_files` before it reads the pages. Nothing of the page is kept in the repository, so that it
always says what `--help` says.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from hannah_hw.cli.app import app

PAGE = "reference/cli.md"
_HEAD = """# Command line

What `hannah-hw VERB --help` prints, for all verbs. `python -m hannah_hw VERB` is the same.

Every verb takes `--json`: one JSON document on standard output, messages on standard error. Every verb works
offline. Exit codes: 0 done, 1 ran and failed, 2 bad input, 130 interrupted.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to those that are built."""
    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """The page as Markdown."""
    root = typer.main.get_command(app)
    sections = [_section(f"hannah-hw {name}", verb, text) for name, verb, text in _verbs(app, root)]
    return "\n".join([_HEAD, *sections])


def _verbs(group: typer.Typer, command: Any) -> Iterator[tuple[str, Any, str]]:
    """Name, command and docstring of every verb, those of groups behind the name of their group."""
    for info in group.registered_commands:
        if info.name is not None and info.callback is not None and not info.hidden:
            yield info.name, command.commands[info.name], inspect.cleandoc(info.callback.__doc__ or "")
    for inner in group.registered_groups:
        if inner.name is not None and inner.typer_instance is not None:
            for name, verb, text in _verbs(inner.typer_instance, command.commands[inner.name]):
                yield f"{inner.name} {name}", verb, text


def _section(title: str, command: Any, text: str) -> str:
    """One verb: its text, its arguments and its options."""
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in shown if not p.opts[0].startswith("-")]
    options = [p for p in shown if p.opts[0].startswith("-")]
    usage = " ".join([title, *(_placeholder(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"## {title}", "", f"    {usage}", "", text, "", "| | |", "|---|---|"]
    lines += [_row(_placeholder(p).strip("[]"), p) for p in arguments]
    lines += [_row(", ".join([*p.opts, *p.secondary_opts]) + _value(p), p) for p in options]
    return "\n".join([*lines, ""])


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _value(option: Any) -> str:
    """What follows an option; nothing follows a flag."""
    return "" if option.is_flag else f" {option.metavar or option.name.upper()}"


def _row(name: str, parameter: Any) -> str:
    text = (parameter.help or "").replace("|", r"\|").replace("\n", " ")
    default = parameter.default
    if default not in (None, False, "", ()) and not callable(default) and not parameter.required:
        text += f" Default: `{default}`."
    return f"| `{name.replace('|', chr(92) + '|')}` | {text} |"
