"""The weights of a supernet: their file, and what a network makes of its parts of them.

A network is evaluated in milliseconds: its parts of the weights, with the running statistics of its normalisations
computed anew on training samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import DataError, require
from hannah_hw.scoring.dataset import Dataset
from hannah_hw.scoring.npz import read_npz, write_npz
from hannah_hw.scoring.training import evaluate, reproducible

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer

    from hannah_hw.executors import WeightSharingExecutor
    from hannah_hw.spaces import Candidate, SearchSpace

#: Most bytes of a supernet's file: weights and momenta.
MAX_BYTES: Final = 4 << 30
#: Samples of a batch from which running statistics are computed.
_STATISTICS_BATCH: Final = 128
#: What names of momenta begin with in a file, and the name of the losses; ids of weights hold no slash.
_MOMENTUM, _LOSSES = "momentum/", "state/losses"


def load_supernet(space: SearchSpace, path: Path) -> WeightSharingExecutor:
    """A supernet that was trained before.

    Raises:
        DataError: The file cannot be read, or is of another space.
        SpaceError: A weight of the space has no largest shape.
    """
    require("torch", "train")
    from hannah_hw.executors import WeightSharingExecutor

    module = WeightSharingExecutor(space, cache=8)
    _load(module, read_npz(path, MAX_BYTES), path)
    return module.eval()


def statistics_batches(data: Dataset, count: int) -> list[torch.Tensor]:
    """Training samples from which running statistics are computed; they are in random order already.

    Args:
        data: Whose training part.
        count: Number of samples.
    """
    torch = require("torch", "train")
    samples = torch.from_numpy(np.ascontiguousarray(data.x_train[:count]))
    if samples.ndim == 4:
        samples = samples.contiguous(memory_format=torch.channels_last)
    return list(samples.split(_STATISTICS_BATCH))


def shared_error(
    module: WeightSharingExecutor,
    candidate: Candidate | Mapping[str, Any],
    data: Dataset,
    batches: Sequence[torch.Tensor],
) -> float:
    """Share of the validation part that a network gets wrong with its parts of the supernet's weights.

    Args:
        module: The supernet.
        candidate: The network.
        data: Whose validation part.
        batches: Of `statistics_batches`.
    """
    with reproducible(0, "cpu"):
        module.assign(candidate).calibrate(batches)
        return 1.0 - evaluate(module, data.x_val, data.y_val)


def keep_supernet(
    module: WeightSharingExecutor, optimizer: Optimizer, losses: Sequence[float], path: Path
) -> None:
    """Write a supernet as it is after some epochs, with the losses of these.

    Raises:
        OSError: It cannot be written.
    """
    arrays = {name: value.numpy(force=True) for name, value in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        if "momentum_buffer" in optimizer.state[parameter]:
            arrays[_MOMENTUM + name] = optimizer.state[parameter]["momentum_buffer"].numpy(force=True)
    arrays[_LOSSES] = np.array(losses)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, arrays)


def restore_supernet(module: WeightSharingExecutor, optimizer: Optimizer, path: Path) -> list[float]:
    """Go on from a file; the losses of the epochs that it has seen.

    Raises:
        DataError: The file cannot be read, or is of another space.
    """
    torch = require("torch", "train")
    arrays = read_npz(path, MAX_BYTES)
    _load(module, arrays, path)
    for name, parameter in module.named_parameters():
        if _MOMENTUM + name in arrays:
            momentum = torch.from_numpy(arrays[_MOMENTUM + name].copy())
            optimizer.state[parameter]["momentum_buffer"] = momentum
    return [float(loss) for loss in arrays[_LOSSES]]


def _load(module: WeightSharingExecutor, arrays: Mapping[str, Any], path: Path) -> None:
    torch = require("torch", "train")
    own = module.state_dict()
    missing = [name for name, v in own.items() if name not in arrays or arrays[name].shape != v.shape]
    if missing or _LOSSES not in arrays:
        raise DataError(
            f"not a supernet of this space: {', '.join(missing[:3]) or _LOSSES} is not there or of another shape; "
            "delete the file to train it again",
            where=str(path),
        )
    with torch.no_grad():
        for name, values in own.items():
            values.copy_(torch.from_numpy(arrays[name].copy()))
