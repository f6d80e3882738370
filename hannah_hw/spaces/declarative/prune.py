"""The process ``Prune``: how many channels of a residual network are kept.

The masks say which channels of an unpruned network stay. They are for its checkpoint, which
`hannah_hw.spaces.declarative.masks.apply_masks` reads when it is asked to; a document with masks loads without it.
With ``search: true`` the numbers of kept channels are parameters of the space: one for each node, that is for the
stem and for each stage, whose blocks add to the same channels, and one inside of each block.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hannah_hw.expressions import Expression, Scalar
from hannah_hw.parameters import IntScalarParameter
from hannah_hw.spaces.declarative.binding import parameter_id
from hannah_hw.spaces.declarative.channels import KeptChannels, Kind, keeping
from hannah_hw.spaces.declarative.problems import Site, current_site, entered
from hannah_hw.spaces.declarative.registry import Network, Positive, fail, process

#: 1 for a channel that is kept.
Mask = list[Literal[0, 1]]


@process("Prune")
def prune(
    network: Network,
    *,
    chn_node_mask: list[Mask] | None = None,  # noqa: ARG001 (for apply_masks)
    chn_mask: list[Mask] | None = None,  # noqa: ARG001 (for apply_masks)
    init_model_file: str | None = None,  # noqa: ARG001 (for apply_masks)
    search: bool = False,
    step: Positive = 1,
) -> Network:
    """Search how many channels are kept, and hold masks for a checkpoint.

    Args:
        network: The network.
        chn_node_mask: For the stem and each stage, 1 for each channel that is kept, else 0.
        chn_mask: The same for the channels inside of each block.
        init_model_file: Checkpoint of the unpruned network, relative to the document.
        search: Whether the numbers of kept channels are parameters, ``node.0`` and ``inner.0`` below the process.
        step: They are multiples of it.

    Raises:
        SpaceError: Widths that are searched already, or that are no multiple of the step (E_PRUNE).
    """
    if not search:
        return network
    site = current_site()
    widths: dict[Kind, list[IntScalarParameter]] = {"node": [], "inner": []}

    def rebuild() -> Network:
        with keeping(lambda: _Searched(widths, step, site)):
            return network.rebuild()

    return replace(rebuild(), rebuild=rebuild)


class _Searched(KeptChannels):
    """Every width is a parameter, up to the full one.

    Args:
        widths: The parameters so far, of each kind in order; those that are missing are appended.
        step: They are multiples of it.
        site: The process in its document.
    """

    def __init__(self, widths: dict[Kind, list[IntScalarParameter]], step: int, site: Site) -> None:
        super().__init__()
        self._widths = widths
        self._step = step
        self._site = site
        self._next: dict[Kind, int] = dict.fromkeys(widths, 0)

    def row(self, kind: Kind, full: Scalar) -> Scalar:
        """The parameter of a width."""
        index = self._next[kind]
        self._next[kind] += 1
        known = self._widths[kind]
        if index == len(known):
            known.append(self._parameter((kind, index), full))
        return known[index]

    def _parameter(self, name: tuple[Kind, int], full: Scalar) -> IntScalarParameter:
        with entered(self._site):
            if isinstance(full, Expression):
                fail("E_PRUNE", "search", f"is true, but the width {full} depends on parameters already")
            if full % self._step:
                fail("E_PRUNE", "step", f"is {self._step}, which does not divide the width {full}")
        parameter = IntScalarParameter(self._step, int(full), self._step, name[0], default=int(full))
        parameter.id = parameter_id((*self._site.path, *name))
        return parameter
