"""What may be profiled: the kernels of networks that are drawn from search spaces, and of given models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.errors import InputError
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.table import KernelTable
from hannah_hw.lowering.loading import load

if TYPE_CHECKING:
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.targets.models.learned import Precision

#: Networks that are drawn from a space, in each precision.
DRAWN: Final = 40
#: Other networks of each space and precision, which are measured whole and judge what is fitted.
CHECKED: Final = 4


@dataclass(frozen=True)
class Network:
    """A model and the kernels that it becomes.

    Attributes:
        name: Space, number and precision, or the name of a file.
        model: Content of its ONNX file.
        kernels: In execution order.
    """

    name: str
    model: bytes
    kernels: tuple[HostKernel, ...]


@dataclass(frozen=True)
class Pool:
    """Networks whose kernels may be profiled, and some that judge the result.

    Attributes:
        networks: Networks of which kernels are profiled.
        checks: Networks that are measured whole. Given models are among both.
    """

    networks: tuple[Network, ...]
    checks: tuple[Network, ...]

    @cached_property
    def table(self) -> KernelTable:
        """The kernels of `networks`, each once."""
        return KernelTable.of([network.kernels for network in self.networks])


def draw(
    spaces: Sequence[tuple[str, SearchSpace]],
    models: Iterable[str | Path] = (),
    *,
    precisions: Sequence[Precision] = ("float32",),
    drawn: int = DRAWN,
    checked: int = CHECKED,
    threads: int = 1,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _text: None,
) -> Pool:
    """Draw networks and let ONNX Runtime optimise them.

    Args:
        spaces: (Name, space) of each search space.
        models: Paths of ONNX files, which are taken as they are.
        precisions: Of the networks that are drawn.
        drawn: Networks of each space and precision whose kernels may be profiled.
        checked: Other networks of each.
        threads: Threads within an operator.
        seed: Of the networks.
        progress: Called with a line about what is done.

    Raises:
        InputError: There is neither a space nor a model.
        ModelError: A model cannot be run.
        UnsupportedError: A space has an operator without ONNX form.
    """
    files = [Path(path) for path in models]
    if not spaces and not files:
        raise InputError(
            "there is nothing whose kernels could be profiled; give --space, --search or --models"
        )
    networks: list[Network] = []
    checks: list[Network] = []
    for name, space in spaces:
        rng = np.random.default_rng(seed)
        rows = space.sample_population(drawn + checked, rng)
        for precision in precisions:
            progress(f"drawing {drawn + checked} {precision} networks of {name}")
            for number, row in enumerate(rows):
                model = candidate_model(space.candidate_of(row), precision, seed=seed)
                kernels = optimised_kernels(model, threads=threads)
                found = Network(f"{name}/{number}/{precision}", model.SerializeToString(), kernels)
                (networks if number < drawn else checks).append(found)
    for path in files:
        kernels = optimised_kernels(path, threads=threads)
        found = Network(path.name, load(path).SerializeToString(), kernels)
        networks.append(found)
        checks.append(found)
    return Pool(tuple(networks), tuple(checks))
