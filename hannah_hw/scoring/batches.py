"""What a training is shown, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hannah_hw.errors import require
from hannah_hw.scoring.dataset import Dataset

if TYPE_CHECKING:
    from torch import Tensor


class Batches:
    """Shuffled, shifted batches of the training part; each iteration is one epoch.

    Args:
        data: Whose training part.
        size: Samples a batch; the last incomplete one of an epoch is left out.
        shift: Samples are moved by up to this many positions along each spatial axis, each on its own, with the border
            repeated. 0 is off.
        seed: Decides the order and the shifts.
        device: A torch device.
        even: Whether samples are drawn with replacement, each class as often as any other; else an epoch shows every
            sample once.

    Attributes:
        steps: Batches an epoch.
    """

    def __init__(
        self, data: Dataset, size: int, shift: int, seed: int, device: str, *, even: bool = False
    ) -> None:
        torch = require("torch", "train")
        self._generator = torch.Generator().manual_seed(seed)
        self._size = min(size, len(data.y_train))
        self._shift = shift
        self._shape = data.input_shape
        samples = torch.from_numpy(data.x_train)
        if self._shift:
            margins = [self._shift] * (2 * (samples.ndim - 2))
            samples = torch.nn.functional.pad(samples, margins, mode="replicate")
        # Channels last, so that a gather gives the layout that convolutions want.
        self._samples = samples.movedim(1, -1).contiguous().to(device)
        self._labels = torch.from_numpy(data.y_train).to(device)
        self._device = device
        self._chances = class_weights(data)[torch.from_numpy(data.y_train)] if even else None
        self.steps = len(data.y_train) // self._size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch = require("torch", "train")
        if self._chances is None:
            order = torch.randperm(len(self._labels), generator=self._generator)
        else:
            order = torch.multinomial(
                self._chances, len(self._labels), replacement=True, generator=self._generator
            )
        spatial = self._shape[1:]
        for step in range(self.steps):
            chosen = order[step * self._size : (step + 1) * self._size]
            where = [chosen.view(-1, *[1] * len(spatial))]
            if self._shift:
                limit = 2 * self._shift + 1
                moves = torch.randint(0, limit, (len(spatial), self._size), generator=self._generator)
                for axis, (move, size) in enumerate(zip(moves, spatial, strict=True)):
                    position = move[:, None] + torch.arange(size)
                    view = [self._size] + [1] * len(spatial)
                    view[axis + 1] = size
                    where.append(position.view(view))
            index = tuple(i.to(self._device) for i in where) if self._shift else chosen.to(self._device)
            samples = self._samples[index].movedim(-1, 1)
            if len(spatial) == 1:
                samples = samples.contiguous()
            yield samples, self._labels[chosen.to(self._device)]


def class_weights(data: Dataset) -> Tensor:
    """(C,) what a sample of each class weighs so that all classes weigh the same: N / (C n) of a class of n of N."""
    torch = require("torch", "train")
    counts = torch.bincount(torch.from_numpy(data.y_train), minlength=data.classes)
    weights: Tensor = len(data.y_train) / (data.classes * counts.float())
    return weights
