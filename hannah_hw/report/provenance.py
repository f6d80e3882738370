"""Where the numbers of a page come from, in words: what a figure was made by, and from which files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hannah_hw.report.data import ReportData
from hannah_hw.scoring.intervals import share_interval

#: Metric of the trained network -> what was measured, and on which part of the data.
_TRAINED: Final = {
    "error": ("{} model", "validation"),
    "test_error": ("{} model", "test"),
    "float_error": ("float32 network", "validation"),
    "balanced_error": ("{} model, every class counted alike", "validation"),
    "test_balanced_error": ("{} model, every class counted alike", "test"),
    "macro_f1": ("{} model, mean F1 score of the classes", "validation"),
    "test_macro_f1": ("{} model, mean F1 score of the classes", "test"),
}
#: Those that are shares of all samples, so that the number of these says how far they may be off.
_SHARES: Final = ("error", "test_error", "float_error")
#: Source of a figure -> what that means.
SOURCES: Final = {
    "estimated": "by the target's cost model; nothing was run",
    "emulated": "firmware ran on an emulated core, instruction by instruction, and its output was checked",
    "measured": "something was run and timed, or compiled by the vendor's compiler",
    "published": "from a publication",
}
#: Counted figures, which have no error.
_COUNTED: Final = ("macs", "parameters")
#: Parts of a model's description that say what it is, in this order.
_MODEL: Final = ("kind", "coefficients", "precision")


def provenance(run: ReportData) -> dict[str, Any]:
    """What the script says about the numbers of candidates beside what their records hold.

    Returns:
        ``sources``: what the words of `SOURCES` mean; ``metrics``: metric key -> ``how`` it was obtained, and of a
        share of wrong answers the number of ``samples`` it was counted on; ``model``: what estimates rest on;
        ``target``: its file, or its
        title where it has none.
    """
    return {
        "sources": SOURCES,
        "metrics": _trained(run)
        | {key: {"how": "counted from the candidate's graph; exact"} for key in _COUNTED},
        **_target(run),
    }


def error_interval(run: ReportData, key: str, value: float | None) -> str:
    """The 95 % interval of a share of wrong answers in words, and on how many samples it rests; else nothing."""
    samples = _trained(run).get(key, {}).get("samples")
    if value is None or not samples or not 0 <= value <= 1:
        return ""
    low, high = share_interval(value, samples)
    return f"{100 * low:.1f} to {100 * high:.1f} % (95 % interval, {samples:,} samples)"


def _trained(run: ReportData) -> dict[str, dict[str, Any]]:
    """How the metrics that a trained network has were measured; a trainer of the user's own may mean anything."""
    sizes = run.resolved.get("data")
    sizes = sizes if isinstance(sizes, Mapping) else {}
    precision = run.resolved.get("precision", "int8")
    found: dict[str, dict[str, Any]] = {}
    training = run.config.get("training")
    folds = training.get("folds") if isinstance(training, Mapping) else None
    for key, (what, part) in _TRAINED.items():
        if part not in sizes:
            continue
        samples, where = sizes[part], f"{sizes[part]} {part} samples"
        if folds is not None and part == "validation" and isinstance(sizes.get("train"), int):
            samples += sizes["train"]
            where = f"{folds}-fold cross-validation on {samples} samples"
        found[key] = {"how": f"measured: {what.format(precision)}, {where}"}
        if key in _SHARES and isinstance(samples, int) and run.config.get("score") is None:
            found[key]["samples"] = samples
    return found


def _target(run: ReportData) -> dict[str, str]:
    target = run.resolved.get("target")
    if not isinstance(target, Mapping):
        return {}
    model = target.get("model")
    model = model if isinstance(model, Mapping) else {}
    words = [str(model[key]) for key in _MODEL if model.get(key)]
    found = {"model": ", ".join([f"{words[0].replace('_', ' ')} model", *words[1:]])} if words else {}
    name = target.get("file") or target.get("title")
    return found | ({"target": str(name)} if name else {})
