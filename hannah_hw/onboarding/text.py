"""A first configuration as the commented YAML file that its user goes on with."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from hannah_hw.onboarding.draft import EVALUATIONS, Draft
from hannah_hw.search.metrics import METRICS

#: Width of comments.
_WIDTH: Final = 110
#: Metrics whose range over random candidates helps to choose bounds.
_RANGES: Final = ("latency", "energy", "ram", "flash")


def configuration_text(draft: Draft, path: Path) -> str:
    """The configuration, every field with what was found out about it.

    Args:
        draft: What to write.
        path: Where it will lie; files below its folder are named from there, any other with its whole path.
    """
    folder = path.resolve().parent
    parts = [
        _comment(*_opening(draft, path)),
        "version: 1",
        "",
        _comment(*_about_data(draft)),
        _field("data", _data(draft, folder)),
        "",
        _comment(*_about_chip(draft)),
        _field("target", _place(draft.chip.given, folder)),
        *_params(draft),
        "",
        _comment(*_about_space(draft)),
        _field("space", _place(draft.fit.space, folder)),
        "",
        _comment(
            "What is traded off against what; the result is the Pareto front of these. More objectives make it larger "
            f"and the search slower. There are: {', '.join(METRICS)}."
        ),
        _field("objectives", draft.objectives),
        "",
        _comment(*_about_bounds(draft)),
        *_constraints(draft),
        "",
        _comment(*_about_training(draft)),
        _field("training", dict(draft.training)),
        "",
        _comment(
            "How many candidates are trained, and by how many processes. The same seed gives the same result, whatever "
            "the number of processes; a finished search goes on with --resume --set search.evaluations=200."
        ),
        _field("search", {"evaluations": EVALUATIONS, "seed": 0, "workers": draft.workers}),
        "",
        _comment(
            "The front may be trained on after the search, also that of a finished run (--resume --set ...)."
        ),
        "# finalists: {epochs: 20}",
        *_measure(draft),
    ]
    return "\n".join(parts) + "\n"


def next_commands(path: Path) -> list[str]:
    """What to type next, with a first configuration."""
    run = _word(Path("runs") / path.stem)
    return [
        f"hannah-hw search {_word(path)} --dry-run",
        f"hannah-hw search {_word(path)} --out {run}",
        f"hannah-hw export {run} --pick knee --to onnx,csv --out models",
    ]


def _word(text: object) -> str:
    import shlex

    return shlex.quote(str(text))


def _opening(draft: Draft, path: Path) -> list[str]:
    title = f"Classifiers of {draft.facts['name']} for {draft.chip.target.title}."
    return [title, *(f"  {command}" for command in next_commands(path)[:2])]


def _about_data(draft: Draft) -> list[str]:
    facts = draft.facts
    samples = facts["samples"]
    shape = " x ".join(map(str, facts["input_shape"]))
    axes = ", ".join(facts["axes"])
    parts = ", ".join(f"{count:,} {part}" for part, count in samples.items())
    first = f"{len(facts['classes'])} classes of {facts['content']}, {shape} ({axes}); samples: {parts}."
    pairs = zip(facts["problems"], facts["suggestions"], strict=True)
    return [first, *(f"{problem}; {suggestion}" for problem, suggestion in pairs)]


def _about_chip(draft: Draft) -> list[str]:
    chip = draft.chip
    first = f"{chip.summary}; " if chip.summary else ""
    return [f"{first}more: hannah-hw targets show {_word(chip.given)}"]


def _params(draft: Draft) -> list[str]:
    if not draft.chip.params:
        return []
    said = "The sizes of the chip are those of its description. Without this line they are searched with the networks."
    return [_comment(said), _field("params", draft.chip.params)]


def _about_space(draft: Draft) -> list[str]:
    fit = draft.fit
    share = f"{fit.priced.feasible_share:.0%} of {fit.priced.sampled:,} random ones fit the chip"
    first = f"The family of networks; {share}. More: hannah-hw spaces show {_word(fit.space)}"
    return [first, *(f"Not taken: {space}: {reason}" for space, reason in fit.refused.items())]


def _about_bounds(draft: Draft) -> list[str]:
    whose = (
        "Those of RAM and flash are three quarters of the chip's; the rest is left to your program."
        if draft.chip.bounds
        else "The chip's own memories, if it has any, bound the search without being written here."
    )
    ranges = []
    for name in _RANGES:
        if quartiles := draft.fit.priced.quartiles.get(METRICS[name].key):
            least, _, median, _, most = map(METRICS[name].format, quartiles)
            ranges.append(f"  {name}: {least} to {most}, median {median}")
    return [f"Bounds. {whose} Estimates of random networks of the space:", *ranges]


def _constraints(draft: Draft) -> list[str]:
    """Bounds, and one of latency that halves the space, for whoever wants it."""
    _, _, median, _, _ = map(METRICS["latency"].format, draft.fit.priced.quartiles["latency_s"])
    halving = f'latency: "<= {median}"'
    bounds = draft.chip.bounds
    if not bounds:
        return [f"constraints: {{}}  # or {{{halving}}}"]
    lines = [f"  {name}: {_scalar(bound)}" for name, bound in bounds.items()]
    return ["constraints:", *lines, f"  # {halving}"]


def _about_training(draft: Draft) -> list[str]:
    first = (
        "budget_s: nominal seconds of one processor that a candidate is trained for; what is large gets fewer epochs. "
        f"So the whole search trains for about {draft.duration}, longer on a slow machine."
    )
    return [first]


def _measure(draft: Draft) -> list[str]:
    if draft.chip.target.family != "host":
        return []
    said = "Profile the front on this machine afterwards, which decides what is on it."
    return ["", _comment(said), _field("measure", {"profile": "front"})]


def _field(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return f"{name}: {{{', '.join(f'{key}: {_scalar(item)}' for key, item in value.items())}}}"
    return f"{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    """A value as YAML writes it in a flow mapping; texts that need quotes get double ones."""
    if isinstance(value, str) and value.startswith(("<", ">")):
        return f'"{value}"'
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump([value], default_flow_style=True, width=10_000, allow_unicode=True).strip()[1:-1]


def _comment(*paragraphs: str) -> str:
    """Paragraphs as comments; one that begins with blanks keeps them in its further lines."""
    lines = []
    for text in paragraphs:
        # Whatever a file of the user's says stays in the comment.
        flat = " ".join(text.splitlines())
        indent = " " * (len(flat) - len(flat.lstrip()))
        lines += textwrap.wrap(
            flat, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(f"# {line}" for line in lines)


def _data(draft: Draft, folder: Path) -> object:
    place = _place(draft.data, folder)
    return {"path": place, **draft.reading} if draft.reading else place


def _place(name: str, folder: Path) -> str:
    """How a configuration in a folder names a file or a folder of the user's; any other name stays."""
    plain, colon, behind = (name, "", "") if Path(name).exists() else name.partition(":")
    path = Path(plain).expanduser()
    if not path.exists() or not (path.suffix or len(path.parts) > 1 or path.is_dir()):
        return name
    whole = path.resolve()
    short = whole.relative_to(folder) if whole.is_relative_to(folder) else whole
    return f"{short}{colon}{behind}"
