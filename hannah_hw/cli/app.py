"""The application: its verbs, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 ran and failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer

from hannah_hw.cli import (
    calibrate,
    data,
    doctor,
    estimate,
    export,
    init,
    measure,
    profile,
    proxies,
    report,
    search,
    spaces,
    target_new,
    target_ops,
    targets,
    transfer,
    validate,
    worker,
)
from hannah_hw.cli.output import say, write
from hannah_hw.errors import HannahError, InputError

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

#: An example in the help of a verb; see `help_text`.
_EXAMPLE: Final = re.compile(r"^- \[bold\](.+?)\[/bold\]", re.MULTILINE)

#: Whatever typer raises about the arguments themselves.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="hannah-hw",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_JOB, _MODELS, _CATALOGUES = "The main job", "Models and cost models", "Catalogues and health"
app.command("init", rich_help_panel=_JOB)(init.init)
app.command("search", rich_help_panel=_JOB)(search.search)
app.command("data", rich_help_panel=_JOB)(data.data)
app.command("proxies", rich_help_panel=_JOB)(proxies.proxies)
app.command("report", rich_help_panel=_JOB)(report.report)
app.command("worker", rich_help_panel=_JOB)(worker.worker)
app.command("export", rich_help_panel=_JOB)(export.export)
app.command("estimate", rich_help_panel=_MODELS)(estimate.estimate)
app.command("profile", rich_help_panel=_MODELS)(profile.profile)
app.command("measure", rich_help_panel=_MODELS)(measure.measure)
app.command("validate", rich_help_panel=_MODELS)(validate.validate)
app.command("calibrate", rich_help_panel=_MODELS)(calibrate.calibrate)
app.command("transfer", rich_help_panel=_MODELS)(transfer.transfer)
targets.app.command("ops")(target_ops.ops)
targets.app.command("new")(target_new.new)
app.add_typer(targets.app, name="targets", rich_help_panel=_CATALOGUES)
app.add_typer(spaces.app, name="spaces", rich_help_panel=_CATALOGUES)
app.command("doctor", rich_help_panel=_CATALOGUES)(doctor.doctor)


def help_text(function: Callable[..., Any]) -> str:
    """The docstring of a verb as its help: items stay on lines of their own, the rest is filled, code is bold.

    Rendering it as markdown would double the time that ``--help`` takes.
    """
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    kept = ["\b\n" + text if text.startswith("- ") else text.replace("\n", " ") for text in paragraphs]
    # What stands in brackets, such as ultratrail[pe=16], is no markup.
    text = "\n\n".join(kept).replace("[", r"\[")
    return re.sub(r"`([^`]+)`", r"[bold]\1[/bold]", text)


def _version(wanted: bool) -> None:
    if wanted:
        write(f"hannah-hw {doctor.own_version()}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find int8 models that fit a chip, and see what they cost there.

    First steps:

    - `hannah-hw search digits_quick`: a first search, some minutes
    - `hannah-hw init my_images -t stm32l4r5zi`: a search for your data and chip
    - `hannah-hw estimate model.onnx -t stm32l4r5zi`: what a model costs there
    - `hannah-hw profile model.onnx`: how long it takes on this machine
    - `hannah-hw doctor`: what is installed, what is missing

    Every verb takes `--json` and works offline. Exit codes: 0 done, 1 ran and failed, 2 bad input,
    130 interrupted.
    """


app.callback(help=help_text(root))(root)
for _group in (app, targets.app, spaces.app):
    for _verb in _group.registered_commands:
        if _verb.callback is not None:
            _verb.help = help_text(_verb.callback)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments; by default those of the process.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _shown_by(warnings.showwarning)
            return _run(given)
    except OSError as error:
        if os.environ.get("HANNAH_HW_DEBUG"):
            raise
        # Nowhere to write the result to. Python must not try to flush to it again at exit.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            say(f"error: cannot write to standard output: {error.strerror or error}")
        return FAILED


def _shown_by(other: Callable[..., None]) -> Callable[..., None]:
    """How warnings are shown: those of this package say themselves where; any other, as it would be."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
        if category.__module__.startswith("hannah_hw."):
            say(f"warning: {message}")
        else:
            other(message, category, *place, **options)

    return show


def _run(given: list[str]) -> int:
    """Run the command line; every error becomes a message, but one of standard output."""
    try:
        code = app(given, prog_name="hannah-hw", standalone_mode=False)
        sys.stdout.flush()
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        usage = context.get_usage() if context is not None else ""
        message = error.format_message()
        return _fail(message, BAD_INPUT, "UsageError", given, usage=usage, hint=_hint(context, message))
    except HannahError as error:
        if os.environ.get("HANNAH_HW_DEBUG"):
            raise
        exit_code = BAD_INPUT if isinstance(error, InputError) else FAILED
        if isinstance(error.__cause__, KeyboardInterrupt):
            exit_code = INTERRUPTED
        return _fail(str(error), exit_code, type(error).__name__, given)
    except MemoryError as error:
        return _fail(f"not enough memory: {error}".removesuffix(": "), FAILED, "MemoryError", given)
    except OSError as error:
        gone = isinstance(error, FileNotFoundError) and error.filename is None
        if (error.filename is None and not gone) or os.environ.get("HANNAH_HW_DEBUG"):
            raise
        message = "the working folder no longer exists; change to another" if gone else str(error)
        return _fail(message, FAILED, "RunError", given)
    except (KeyboardInterrupt, typer.Abort):  # the latter also where a question is answered by Ctrl-D
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer, too, makes an exit of an interrupt, and says nothing
        return _fail("interrupted", INTERRUPTED, "KeyboardInterrupt", given)
    return code if isinstance(code, int) else DONE


def _hint(context: Any, message: str) -> str:
    """What to type after a mistake in the arguments themselves: an example of the verb, and how to see more."""
    if context is None or not message:
        return ""
    examples = _EXAMPLE.findall(context.command.help or "")
    shown = [f"for example: {examples[0]}"] if examples and message.startswith("Missing") else []
    return "\n".join([*shown, f"more: {context.command_path} --help"])


def _fail(
    message: str, code: int, kind: str, arguments: Sequence[str], *, usage: str = "", hint: str = ""
) -> int:
    # A group without a verb has shown its help, and there is nothing to add.
    text = f"error: {message}" if message else ""
    say("\n".join(part for part in (usage, text, hint) if part))
    if "--json" in arguments:
        write(
            json.dumps({"error": {"kind": kind, "message": message, "exit_code": code}}, ensure_ascii=False)
        )
    return code
