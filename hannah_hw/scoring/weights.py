"""The weights of candidates, kept between their evaluations: ``ID.npz`` in the folder ``weights`` of a run.

``ID.npz`` holds what a whole training gave; ``ID.1.npz``, ``ID.2.npz`` what a first, a second part of it gave. The
names of the arrays are the keys of the module's ``state_dict``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError, EvaluationError, require
from hannah_hw.scoring.npz import read_npz, write_npz

if TYPE_CHECKING:
    from torch import nn

#: Most bytes of one candidate's weights: 64 million values in float32.
MAX_BYTES: Final = 256 << 20

State = Mapping[str, NDArray[Any]]


def weights_file(folder: str | Path, identifier: str, part: int | None = None) -> Path:
    """Where the weights of a candidate are kept.

    Args:
        folder: The folder of the run's weights.
        identifier: ``candidate.id``.
        part: Parts of the training that were done; None: all.
    """
    return Path(folder) / (f"{identifier}.npz" if part is None else f"{identifier}.{part}.npz")


def save_weights(path: str | Path, module: nn.Module) -> None:
    """Keep the weights of a module; its folder is made where it is missing.

    Raises:
        EvaluationError: They are larger than `MAX_BYTES` (kind ``weights``).
        OSError: The file cannot be written.
    """
    path = Path(path)
    state = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
    size = sum(values.nbytes for values in state.values())
    if size > MAX_BYTES:
        raise EvaluationError(
            f"weights of {size} bytes are not kept, at most {MAX_BYTES}; train candidates of this space in one go",
            kind="weights",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, state)


def load_weights(path: str | Path) -> dict[str, NDArray[Any]] | None:
    """The weights in a file, by the keys of the state; None where there is no whole file of them.

    What is missing or damaged can be trained again, so it is no error.
    """
    path = Path(path)
    if not path.is_file():
        return None
    try:
        state = read_npz(path, MAX_BYTES)
    except DataError:
        return None
    return state if all(v.dtype.kind in "fiub" and np.isfinite(v).all() for v in state.values()) else None


def restore(module: nn.Module, state: State) -> bool:
    """Give a module weights of its own shapes; whether they were, otherwise the module is as before.

    Args:
        module: Of the same candidate as the weights.
        state: See `load_weights`.
    """
    torch = require("torch", "train")
    own = module.state_dict()
    if state.keys() != own.keys() or any(state[name].shape != own[name].shape for name in own):
        return False
    with torch.no_grad():
        for name, values in own.items():
            values.copy_(torch.from_numpy(np.array(state[name])))
    return True
