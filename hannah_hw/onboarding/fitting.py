"""Which ready space suits samples and a chip: random candidates of each are priced on it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.errors import ConfigError, InputError
from hannah_hw.search.config import SearchConfig
from hannah_hw.search.dryrun import DryRun, dry_run

if TYPE_CHECKING:
    from hannah_hw.onboarding.chip import Chip

#: Shorter side from which the spaces for larger images, which halve the resolution early, are tried first.
LARGE_SIDE: Final = 48
#: Share of random candidates that has to fit; of a space with fewer, the next is tried.
ENOUGH: Final = 0.05

#: Characters of a reason that are repeated.
_REASON: Final = 200

#: Spaces of the catalogue by kind of sample, the one to try first in front.
_SMALL_IMAGES: Final = ("ds_cnn", "pooled_cnn", "mcunet", "resnet")
_LARGE_IMAGES: Final = ("mcunet", "ds_cnn", "pooled_cnn", "resnet")
_SERIES: Final = ("tc_resnet",)


@dataclass(frozen=True)
class Samples:
    """What a space has to take.

    Attributes:
        shape: Of one sample: (C, H, W) or (C, L).
        classes: Their number.
    """

    shape: tuple[int, ...]
    classes: int

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the catalogue's spaces for such samples, in the order of trying."""
        if len(self.shape) == 2:
            return _SERIES
        return _LARGE_IMAGES if min(self.shape[1:]) >= LARGE_SIDE else _SMALL_IMAGES


@dataclass(frozen=True)
class Fit:
    """A space on a chip.

    Attributes:
        space: Its name.
        priced: What its random candidates cost there.
        refused: Space that was tried before -> why it was not taken.
    """

    space: str
    priced: DryRun
    refused: Mapping[str, str]


def choose_space(
    samples: Samples,
    chip: Chip,
    constraints: Mapping[str, str],
) -> Fit:
    """The first space of the catalogue of which enough random candidates run on a chip within bounds, else the best.

    Args:
        samples: What it has to take.
        chip: The chip.
        constraints: Metric -> bound, as a configuration has them.

    Raises:
        InputError: None of them can run on the chip, and why.
    """
    tried: dict[str, DryRun] = {}
    refused: dict[str, str] = {}
    for space in samples.spaces:
        try:
            found = price(space, samples, chip, constraints)
        except InputError as error:
            refused[space] = textwrap.shorten(error.message, _REASON, placeholder=" ...")
            continue
        if found.feasible_share >= ENOUGH:
            return Fit(space, found, refused)
        tried[space] = found
        refused[space] = f"{found.feasible_share:.1%} of {found.sampled} random candidates fit"
    if not tried:
        reasons = "".join(f"\n  {space}: {reason}" for space, reason in refused.items())
        raise InputError(
            f"{chip.given} runs no network of the ready spaces for samples of {samples.shape}:{reasons}\n"
            "give a space of your own with --space, another chip (hannah-hw targets list), or samples of another "
            "shape: recordings become series with --set layout=series, images smaller with --set size=[32,32]"
        )
    best = max(tried, key=lambda space: tried[space].feasible_share)
    return Fit(best, tried[best], {name: why for name, why in refused.items() if name != best})


def price(space: str, samples: Samples, chip: Chip, constraints: Mapping[str, str]) -> DryRun:
    """Random candidates of a space for some samples, on a chip as it is described; see `dry_run`.

    Raises:
        InputError: The space cannot take the samples, or the chip can run none of it.
    """
    options: dict[str, Any] = {"name": space, "input_shape": samples.shape, "classes": samples.classes}
    config = SearchConfig.model_validate(
        {
            "version": 1,
            "space": options,
            "target": chip.given,
            "objectives": {"latency": "min"},
            "constraints": dict(constraints),
            "params": chip.params,
        }
    )
    try:
        return dry_run(config)
    except ConfigError as error:
        raise InputError(error.message) from error
