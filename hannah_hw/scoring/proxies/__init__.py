"""Zero-cost proxies: figures of an untrained network that may tell how accurate it will be.

Each is a function of a `Probe` in a module of its own. All are meant to be larger for better networks. Whether one says
more than the number of parameters depends on the space and the data: `hannah_hw.scoring.ranking` measures it.
"""

from hannah_hw.scoring.proxies.batches import ProbeBatch, draw_batch, noise_batch
from hannah_hw.scoring.proxies.scorer import ProxyScorer
from hannah_hw.scoring.proxies.scores import PROXIES, ProxyScores, ranked_last, score_proxies

__all__ = [
    "PROXIES",
    "ProbeBatch",
    "ProxyScorer",
    "ProxyScores",
    "draw_batch",
    "noise_batch",
    "ranked_last",
    "score_proxies",
]
