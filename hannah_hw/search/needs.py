"""Optional packages that a configured search uses, known before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hannah_hw.search.config import SearchConfig


def packages(config: SearchConfig) -> dict[str, str]:
    """Module -> the extra that installs it, of everything that the search will use.

    Raises:
        InputError: The data or the target cannot be found.
    """
    needed: dict[str, str] = {}
    if config.goals.trained:
        reader = config.data_reader()
        needed |= {reader: "data"} if reader is not None else {}
        if config.score is None or config.proxies is not None:
            needed["torch"] = "train"
        if config.predictor is not None:
            needed["sklearn"] = "predict"
    if isinstance(config.search.workers, str):
        needed["distributed"] = "distributed"
    if config.measure.emulate is not None and _is_microcontroller(config.target):
        from hannah_hw.measure.emulated import PACKAGES

        needed |= dict.fromkeys(PACKAGES, "emulate")
    return needed


def _is_microcontroller(target: str) -> bool:
    from hannah_hw.targets import load_target

    return load_target(target).family == "microcontroller"
