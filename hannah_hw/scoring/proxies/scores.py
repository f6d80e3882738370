"""Scores of one candidate by all proxies."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ConfigError, require
from hannah_hw.scoring.candidate import candidate_seed
from hannah_hw.scoring.proxies.batches import ProbeBatch
from hannah_hw.scoring.training import reproducible

if TYPE_CHECKING:
    from hannah_hw.spaces import Candidate

#: Name -> what it is, for people. The function of that name is in the module of that name.
PROXIES: Final[Mapping[str, str]] = {
    "synflow": "paths through the network, weighed by their products of weights",
    "naswot": "how differently samples switch activations",
    "grad_norm": "norm of the gradients of one batch",
    "zen": "sensitivity of the features to the input",
    "jacob_cov": "how differently samples depend on their inputs",
}


@dataclass(frozen=True)
class ProxyScores:
    """What the proxies say of one candidate.

    Attributes:
        values: Name -> score; minus infinity where a proxy finds the network useless.
        seconds: Name -> CPU seconds that it took, building the network left out.
    """

    values: Mapping[str, float]
    seconds: Mapping[str, float]

    def to_dict(self) -> dict[str, dict[str, float | None]]:
        """Ready for JSON; a score that is not finite is None."""
        return {
            "values": {name: v if math.isfinite(v) else None for name, v in self.values.items()},
            "seconds": {name: round(s, 6) for name, s in self.seconds.items()},
        }


def check_names(names: Sequence[str]) -> None:
    """Refuse names that are no proxies.

    Raises:
        ConfigError: The name, and what there is.
    """
    for name in names:
        if name not in PROXIES:
            raise ConfigError(f"unknown proxy {name!r}", allowed=list(PROXIES), given=name)


def score_proxies(
    candidate: Candidate, batch: ProbeBatch, *, seed: int = 0, names: Sequence[str] = tuple(PROXIES)
) -> ProxyScores:
    """Compute proxies of one candidate, on one thread.

    Every proxy sees the same fresh weights; the same candidate, batch and seed give the same scores, whichever
    proxies are asked for.

    Args:
        candidate: A classifier with one input.
        batch: What it is shown.
        seed: Of a run; the weights follow from it and the candidate.
        names: Keys of `PROXIES`.

    Raises:
        ConfigError: A name is unknown.
        SpaceError: The network cannot be built, or does not take the samples.
        MissingExtraError: torch is not installed.
    """
    torch = require("torch", "train")
    from hannah_hw.scoring.proxies.probing import Probe, ProbedNetwork

    check_names(names)
    own_seed = candidate_seed(seed, candidate.id)
    samples, labels = torch.from_numpy(batch.samples), torch.from_numpy(batch.labels)
    values, seconds = {}, {}
    with reproducible(own_seed, "cpu"):
        network = ProbedNetwork(candidate)
        initial = {name: value.clone() for name, value in network.state_dict().items()}
        for name in names:
            network.float().train()
            network.load_state_dict(initial)
            torch.manual_seed(own_seed)
            started = time.process_time()
            values[name] = proxy(name)(Probe(network, samples, labels))
            seconds[name] = time.process_time() - started
    return ProxyScores(values, seconds)


def proxy(name: str) -> Callable[[Any], float]:
    """The function of a proxy, which takes a `hannah_hw.scoring.proxies.probing.Probe`."""
    function: Callable[[Any], float] = getattr(importlib.import_module(f"{__package__}.{name}"), name)
    return function


def ranked_last(values: Sequence[float | None]) -> NDArray[np.float64]:
    """(N,) scores as they were recorded; minus infinity where there was no finite one."""
    return np.array([-math.inf if value is None else value for value in values], float)
