"""Problems that search engines are compared on.

A, B and C are formulas; D and E read NAS-Bench-201 from a table (`benchmarks.search.nas_bench_201`); M trains
(`benchmarks.search.mnist`). A, B and C are made up: A and C imitate what decides error, latency and memory of
convolutional networks, B is C2-DTLZ2 (Jain and Deb, "An evolutionary many-objective optimization algorithm using
reference-point based nondominated sorting approach, part II", IEEE Transactions on Evolutionary Computation
18(4), 2014) with two objectives on mixed variables.
"""

from __future__ import annotations

from typing import ClassVar, Final, Protocol

import numpy as np

from benchmarks.search.columns import Choice, Columns, Domain, Real, Whole
from hannah_hw.search.protocols import Encoding, FloatArray

STAGES: Final = 6


class Problem(Protocol):
    """What an engine is run on; everything is minimised, whole batches are evaluated at once.

    Attributes:
        name: Letter in tables and file names.
        title: What it is.
        columns: The space, an `Encoding`.
        reference: (M,) far corner of the hypervolume's box.
        free: Objectives that the cost model knows before an evaluation is spent.
        screened: Whether the constraints are known before an evaluation is spent.
        best: Hypervolume of the true front; None where nobody knows it.
        front: (N, M) the true front; None where nobody knows it or it has no end.
        modes: ``all``: every distinct candidate is charged; ``free``: one that breaks a known constraint is not.
    """

    name: str
    title: str
    columns: Encoding
    reference: FloatArray
    free: tuple[int, ...]
    screened: bool
    best: float | None
    front: FloatArray | None
    modes: tuple[str, ...]

    def values(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, M) objectives and (P, C) excess of the constraints, kept where it is at most 0."""
        ...

    def features(self, rows: FloatArray) -> FloatArray:
        """(P, F) further figures that the cost model knows."""
        ...

    def known(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What `values` says of free objectives (others are NaN) and of screened constraints."""
        ...

    def networks(self, rows: FloatArray) -> list[bytes]:
        """One key a row; rows of one key are the same network, which is evaluated once."""
        ...


class Formula:
    """A problem whose values cost nothing to compute; `free` only says what an engine may use."""

    name: str
    title: str
    columns: Encoding
    reference: FloatArray
    free: tuple[int, ...] = ()
    screened: bool = True
    best: float | None = None
    front: FloatArray | None = None
    modes: tuple[str, ...] = ("all", "free")

    def values(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, M) objectives and (P, C) excess."""
        raise NotImplementedError

    def features(self, rows: FloatArray) -> FloatArray:
        """(P, F) the free objectives and, where they are screened, the constraints."""
        objectives, excess = self.known(rows)
        return np.concatenate([objectives[:, list(self.free)], excess], axis=1)

    def known(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, M) objectives, NaN where an evaluation is needed, and (P, C) excess of known constraints."""
        objectives, excess = self.values(rows)
        hidden = [j for j in range(objectives.shape[1]) if j not in self.free]
        objectives[:, hidden] = np.nan
        return objectives, excess if self.screened else excess[:, :0]

    def networks(self, rows: FloatArray) -> list[bytes]:
        """Every canonical row is a network of its own."""
        return [row.tobytes() for row in np.ascontiguousarray(rows + 0.0)]


class StagedNetwork(Formula):
    """A: six stages of operator, kernel, width, depth and expansion ratio, 30 columns.

    Objectives: error (to be trained), log MACs and log weights (free). Limits on peak activations and weights.
    """

    name = "A"
    title = "30 columns, 3 objectives, 2 limits"
    free = (1, 2)
    #: Cost and worth of a plain, separable, inverted-bottleneck and skipped stage relative to the plain one.
    COST: ClassVar[FloatArray] = np.array([1.0, 0.18, 0.35, 0.02])
    WORTH: ClassVar[FloatArray] = np.array([1.0, 0.82, 0.95, 0.15])

    def __init__(self) -> None:
        domains: dict[str, Domain] = {}
        groups: dict[str, str] = {}
        for stage in range(STAGES):
            new: dict[str, Domain] = {
                f"operator{stage}": Choice(("plain", "separable", "inverted", "skip")),
                f"kernel{stage}": Choice((3, 5, 7)),
                f"width{stage}": Whole(1, 32),
                f"depth{stage}": Whole(1, 4),
                f"ratio{stage}": Real(1.0, 6.0),
            }
            domains |= new
            groups |= dict.fromkeys(new, f"stage{stage}")
        self.columns = Columns(domains, groups=groups)
        self.reference = np.ones(3)

    def values(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, 3) error, log MACs, log weights; (P, 2) excess of activations and of weights."""
        v = self.columns.read(rows)
        macs, weights, peak, merit = np.zeros((4, len(rows)))
        channels, side = np.full(len(rows), 3.0), 64
        for stage in range(STAGES):
            operator = v[f"operator{stage}"].astype(int)
            kernel, ratio, depth = v[f"kernel{stage}"], v[f"ratio{stage}"], v[f"depth{stage}"]
            width = 4.0 * v[f"width{stage}"]
            size = (
                self.COST[operator] * kernel**2 * width * (channels + (depth - 1) * width) * (0.5 + ratio / 6)
            )
            macs += size * side**2
            weights += size
            peak = np.maximum(peak, side**2 * (channels + width * (1 + 0.15 * ratio)))
            worth = (
                self.WORTH[operator] * np.log1p(width) * depth**0.4 * (1 + 0.06 * kernel - 0.006 * kernel**2)
            )
            merit += worth * (0.8 + 0.07 * ratio) * (0.7 + 0.1 * stage)
            channels, side = width, max(2, side // 2)
        objectives = [np.exp(-merit / 14), np.log10(1 + macs) / 10, np.log10(1 + weights) / 7]
        return np.stack(objectives, axis=1), np.stack([peak / 200_000 - 1, weights / 500_000 - 1], axis=1)


class MixedDtlz(Formula):
    """B: C2-DTLZ2 with two objectives on ten real, ten integer and ten categorical columns; nothing is free.

    The feasible part of the front are three pieces within `RADIUS` of (1, 0), (0, 1) and the middle of the
    quarter circle. Every categorical column has its own order of the five levels, which is hidden from engines.
    """

    name = "B"
    title = "C2-DTLZ2, mixed columns, nothing free"
    screened = False
    modes = ("all",)
    RADIUS: ClassVar[float] = 0.2

    def __init__(self) -> None:
        rng = np.random.default_rng(12345)
        self._hidden = np.stack([rng.permutation(np.linspace(0.0, 1.0, 5)) for _ in range(10)])
        domains: dict[str, Domain] = {f"x{i}": Real(0.0, 1.0) for i in range(10)}
        domains |= {f"n{i}": Whole(0, 16) for i in range(10)}
        domains |= {f"c{i}": Choice(tuple("abcde")) for i in range(10)}
        self.columns = Columns(domains)
        self.reference = np.array([1.1, 1.1])
        self.best = self._front_volume()

    def values(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, 2) objectives and (P, 1) excess."""
        category = self._hidden[np.arange(10), rows[:, 20:].astype(int)]
        position = np.concatenate([rows[:, 1:10], rows[:, 10:20] / 16, category], axis=1)
        distance = 1 + ((position - 0.5) ** 2).sum(axis=1)
        angle = rows[:, 0] * np.pi / 2
        objectives = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return objectives, self._excess(objectives)[:, None]

    def _excess(self, objectives: FloatArray) -> FloatArray:
        """(P,) squared distance to the nearest of the three centres, less the squared radius."""
        centres = np.array([[1.0, 0.0], [0.0, 1.0], [0.5**0.5, 0.5**0.5]])
        squares = ((objectives[:, None] - centres) ** 2).sum(axis=2)
        return squares.min(axis=1) - self.RADIUS**2

    def _front_volume(self) -> float:
        """Hypervolume of the feasible part of the unit quarter circle, by 200,001 angles (error below 1e-5)."""
        angle = np.linspace(np.pi / 2, 0, 200_001)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        x, y = circle[self._excess(circle) <= 0].T
        above = np.r_[self.reference[1], y[:-1]]
        return float(((self.reference[0] - x) * (above - y)).sum())


class ConditionalNetwork(Formula):
    """C: two to six stages, 52 columns of which 11 to 46 mean something; 99 % of random rows are infeasible.

    Objectives: error (to be trained) and log latency (free). Limits on activations, weights and latency.
    """

    name = "C"
    title = "52 conditional columns, 99 % infeasible"
    free = (1,)
    #: Bytes of activations, bytes of weights, milliseconds.
    LIMITS: ClassVar[tuple[float, float, float]] = (40_000.0, 60_000.0, 9.0)
    #: MACs a microsecond and worth of plain, separable, inverted and fused blocks.
    SPEED: ClassVar[FloatArray] = np.array([40.0, 14.0, 22.0, 36.0])
    WORTH: ClassVar[FloatArray] = np.array([1.0, 0.84, 0.98, 1.04])

    def __init__(self) -> None:
        domains: dict[str, Domain] = {
            "stages": Whole(2, STAGES),
            "resolution": Choice((32, 48, 64, 96, 128)),
            "head": Choice(("pooled", "dense")),
            "hidden": Whole(1, 16),
        }
        groups = {"stages": "network", "resolution": "network", "head": "head", "hidden": "head"}
        conditions: dict[str, list[tuple[str, list[int]]]] = {"hidden": [("head", [1])]}
        for stage in range(STAGES):
            new: dict[str, Domain] = {
                f"operator{stage}": Choice(("plain", "separable", "inverted", "fused")),
                f"width{stage}": Whole(1, 24),
                f"depth{stage}": Whole(1, 4),
                f"kernel{stage}": Choice((3, 5, 7)),
                f"ratio{stage}": Whole(1, 6),
                f"squeeze{stage}": Choice((0, 1)),
                f"parts{stage}": Choice((1, 2, 4)),
                f"residual{stage}": Choice((0, 1)),
            }
            domains |= new
            groups |= dict.fromkeys(new, f"stage{stage}")
            # Stage s exists where there are more than s stages; the first two always do.
            exists = [("stages", list(range(stage - 1, STAGES - 1)))] if stage >= 2 else []
            own = {
                "ratio": ("operator", [2, 3]),
                "squeeze": ("operator", [2, 3]),
                "parts": ("operator", [0]),
                "residual": ("depth", [1, 2, 3]),
            }
            for name in new:
                parent = own.get(name[:-1])
                also = [(f"{parent[0]}{stage}", parent[1])] if parent else []
                conditions[name] = [*exists, *also]
        self.columns = Columns(domains, conditions, groups)
        self.reference = np.ones(2)

    def values(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, 2) error and log latency; (P, 3) log of activations, weights and latency over their limits."""
        v = self.columns.read(rows)
        alive = dict(zip(self.columns.ids, self.columns.active(rows).T, strict=True))
        count = len(rows)
        weights, merit, rough = np.zeros((3, count))
        latency, channels = np.full(count, 0.15), np.full(count, 3.0)
        peak = 3.0 * v["resolution"] ** 2
        side = np.ceil(v["resolution"] / 2)
        for stage in range(STAGES):
            on = alive[f"operator{stage}"]
            kind = v[f"operator{stage}"].astype(int)
            level, depth, kernel = v[f"width{stage}"], v[f"depth{stage}"], v[f"kernel{stage}"]
            width = 8.0 * level
            expands = kind >= 2
            ratio = np.where(expands, v[f"ratio{stage}"], 1.0)
            squeeze = np.where(expands, v[f"squeeze{stage}"], 0.0)
            parts = np.where(kind == 0, v[f"parts{stage}"], 1.0)
            residual = np.where(depth > 1, v[f"residual{stage}"], 0.0)
            shape = kind, kernel, width, ratio, squeeze, parts
            size = _block_weights(channels, *shape) + (depth - 1) * _block_weights(width, *shape)
            speed = self.SPEED[kind] * (1 - 0.12 * (parts > 1)) / (1 + 0.25 * squeeze)
            latency += on * (size * side**2 / speed / 25_000 + 0.04 * depth * (1 + expands))
            weights += on * size
            held = channels * (1 + residual) + width * np.where(expands, np.maximum(1, ratio / 2), 1)
            peak = np.where(on, np.maximum(peak, side**2 * held), peak)
            worth = self.WORTH[kind] * (1 + 0.04 * squeeze) * (1 - 0.05 * (parts - 1) / 3)
            worth *= (1 + 0.05 * residual * (depth - 1)) * np.log1p(width / 4) * depth**0.35
            worth *= (0.85 + 0.09 * kernel - 0.008 * kernel**2) * (0.85 + 0.06 * ratio - 0.004 * ratio**2)
            if stage:
                worth *= np.exp(-0.18 * np.log(width / np.maximum(channels, 8) / 1.7) ** 2)
            merit += on * worth * (0.8 + 0.08 * stage)
            rough += on * np.sin(1.7 * level + 2.3 * kind + 0.9 * kernel * depth + stage)
            channels = np.where(on, width, channels)
            side = np.where(on, np.maximum(2, np.ceil(side / 2)), side)
        hidden = np.where(v["head"] == 1, 16.0 * v["hidden"], 0.0)
        weights += np.where(hidden > 0, (channels + 10) * hidden, 10 * channels)
        merit *= (v["resolution"] / 64) ** 0.22 * (1 + 0.02 * np.log1p(hidden / 16))
        error = np.clip(np.exp(-merit / 11) * (1 + 0.015 * rough), 0, 1)
        slowest = np.log10(1 + 10 * self.LIMITS[2])
        objectives = np.stack([error, np.log10(1 + 10 * latency) / slowest], axis=1)
        used = np.stack([peak, weights, latency], axis=1)
        return objectives, np.log(used / np.array(self.LIMITS))


def _block_weights(
    channels: FloatArray,
    kind: FloatArray,
    kernel: FloatArray,
    width: FloatArray,
    ratio: FloatArray,
    squeeze: FloatArray,
    parts: FloatArray,
) -> FloatArray:
    """(P,) weights of one block of problem C for its input channels."""
    wide, area = channels * ratio, kernel**2
    sizes = [
        area * channels * width / parts,
        area * channels + channels * width,
        channels * wide + area * wide + wide * width,
        area * channels * wide + wide * width,
    ]
    return np.choose(kind, sizes) + squeeze * wide**2 / 4
