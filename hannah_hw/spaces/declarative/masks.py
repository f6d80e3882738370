"""Channel masks: from the checkpoint of an unpruned network to the weights of the smaller one.

A mask removes channels. What is left are slices: of the weight of a convolution the kept outputs and inputs, of a
normalisation the kept channels. The small network computes what the unpruned one does in which every removed channel
is zero behind its normalisation: whose scale, offset and the weight before it are multiplied by the mask, and which
no identity fills again.

Where the stem and the first stage keep different channels, the identity between them becomes a convolution that picks
channels. If they keep different channels of the same number, the network has no place for one, which is an error.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import SpaceError, require
from hannah_hw.expressions import Expression
from hannah_hw.parameters import Parameter
from hannah_hw.spaces.declarative.problems import entered
from hannah_hw.spaces.declarative.registry import fail
from hannah_hw.spaces.declarative.rows import channel_rows
from hannah_hw.spaces.declarative.slicing import Checkpoint, Indices, sliced
from hannah_hw.spaces.space import Candidate, SearchSpace

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

#: Largest checkpoint that is read.
MAX_CHECKPOINT_BYTES: Final = 1 << 30

Masks = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Pruned:
    """A network without the channels that masks removed.

    Attributes:
        candidate: The small network.
        state: Its weights by id; `hannah_hw.executors.BasicExecutor.load_state_dict` takes them.
    """

    candidate: Candidate
    state: dict[str, TorchTensor]


def apply_masks(
    space: SearchSpace,
    checkpoint: str | Path | Mapping[str, TorchTensor] | None = None,
    *,
    assignment: Mapping[str, Any] | None = None,
    repair: int | None = None,
) -> Pruned:
    """Apply the masks of a document's process ``Prune`` to a checkpoint of the unpruned network.

    Args:
        space: A space from a document.
        checkpoint: The file, or the weights themselves; otherwise the document's ``init_model_file``, which is
            relative to the document.
        assignment: Parameters apart from those of kept channels.
        repair: Seed; a row that keeps nothing then keeps one channel, drawn at random.

    Raises:
        SpaceError: The document has no masks, they do not fit the network (E_MASK_SHAPE, E_MASK_EMPTY, E_MASK_NODE,
            E_WIDTH), or the checkpoint cannot be read or is not that of the unpruned network (E_CHECKPOINT).
    """
    document = space.document
    processes = () if document is None else document.process
    found = [index for index, process in enumerate(processes) if process.definition.name == "Prune"]
    if document is None or not found:
        raise SpaceError(f"the space {space.name} has no process Prune", code="E_PROCESS")
    with entered(document.site.at("process", found[-1])):
        if len(found) > 1:
            fail("E_CONFLICT", "", "is another process Prune; write one for all")
        fields = processes[found[0]].fields
        for field in ("chn_mask", "chn_node_mask", *(["init_model_file"] if checkpoint is None else [])):
            if fields.get(field) is None:
                fail("E_MISSING", field, "is missing; there is nothing to apply")
        if checkpoint is None:
            checkpoint = (document.folder or Path()) / fields["init_model_file"]
        state = read_checkpoint(Path(checkpoint)) if isinstance(checkpoint, str | Path) else checkpoint
        node, inner = fields["chn_node_mask"], fields["chn_mask"]
        return prune_weights(space, state, node, inner, assignment=assignment, repair=repair)


def read_checkpoint(path: Path) -> dict[str, TorchTensor]:
    """The tensors of a file that ``torch.save(module.state_dict(), path)`` wrote; nothing in it is executed.

    Raises:
        SpaceError: No such file, one of more than 1 GiB (unpacked), or one that holds anything but tensors by name
            (E_CHECKPOINT).
    """
    torch = require("torch", "train")
    try:
        if not path.is_file():
            raise SpaceError(f"there is no file {path}", code="E_CHECKPOINT")
        size = _unpacked_size(path)
        if size > MAX_CHECKPOINT_BYTES:
            raise SpaceError(
                f"the checkpoint {path} has {size} bytes; at most {MAX_CHECKPOINT_BYTES} are read",
                code="E_CHECKPOINT",
            )
        state = torch.load(path, map_location="cpu", weights_only=True)
    except SpaceError:
        raise
    except pickle.UnpicklingError as error:
        text = (
            f"{path} is broken, or holds more than tensors, which is not executed; save module.state_dict()"
        )
        raise SpaceError(text, code="E_CHECKPOINT") from error
    except Exception as error:  # a broken file makes torch raise almost anything
        reason = str(error).strip().partition("\n")[0]
        text = f"the checkpoint {path} cannot be read: {type(error).__name__}: {reason}"
        raise SpaceError(text, code="E_CHECKPOINT") from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise SpaceError(
            f"{path} holds no mapping of names to tensors; save module.state_dict()", code="E_CHECKPOINT"
        )
    return dict(state)


def _unpacked_size(path: Path) -> int:
    """Bytes of a file, or of all that is in it if it is an archive: torch unpacks what is compressed."""
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        return size
    with zipfile.ZipFile(path) as archive:
        return max(size, sum(entry.file_size for entry in archive.infolist()))


def prune_weights(
    space: SearchSpace,
    state: Mapping[str, TorchTensor],
    node_masks: Masks,
    inner_masks: Masks,
    *,
    assignment: Mapping[str, Any] | None = None,
    repair: int | None = None,
) -> Pruned:
    """The weights of the small network.

    Args:
        space: The space of the small network. Widths that are parameters become what the masks keep; others are
            checked.
        state: The weights of the unpruned network.
        node_masks: Node rows; see `hannah_hw.spaces.declarative.rows`.
        inner_masks: Inner rows.
        assignment: Parameters apart from those of kept channels.
        repair: See `apply_masks`.

    Raises:
        SpaceError: See `apply_masks`.
    """
    chosen = dict(assignment or {})
    plan = space.candidate(chosen).plan
    rows = channel_rows(plan)
    checkpoint = Checkpoint(state, plan)
    generator = None if repair is None else np.random.default_rng(repair)
    inner = _kept("chn_mask", inner_masks, rows.inner, checkpoint, generator)
    node = _kept("chn_node_mask", node_masks, rows.node, checkpoint, generator)
    chosen |= _widths(space, "chn_mask", rows.inner, inner) | _widths(space, "chn_node_mask", rows.node, node)
    candidate = space.candidate(chosen)
    small = channel_rows(candidate.plan)
    if (len(small.node), len(small.inner)) != (len(rows.node), len(rows.inner)):
        fail(
            "E_MASK_NODE",
            "chn_node_mask",
            "makes widths equal, so that a shortcut of the network is an identity",
        )
    kept = {
        name: indices
        for groups, row in ((small.node, node), (small.inner, inner))
        for names, indices in zip(groups, row, strict=True)
        for name in names
    }
    return Pruned(candidate, sliced(candidate.plan, kept, checkpoint))


def _kept(
    field: str,
    masks: Masks,
    rows: Sequence[Sequence[str]],
    checkpoint: Checkpoint,
    generator: np.random.Generator | None,
) -> list[Indices]:
    """The positions that each mask keeps, ascending.

    Args:
        field: Field of the document that holds the masks.
        masks: One for each row.
        rows: Convolutions of each row.
        checkpoint: Has the full widths.
        generator: Draws the channel that a row without any keeps; None: such a row is an error.
    """
    widths = [checkpoint.width(names) for names in rows]
    if [len(mask) for mask in masks] != widths:
        given = _sizes([len(mask) for mask in masks])
        fail("E_MASK_SHAPE", field, f"{given}; expected {_sizes(widths)}")
    kept: list[Indices] = []
    for index, mask in enumerate(masks):
        indices = np.flatnonzero(mask)
        if not len(indices):
            if generator is None:
                fail(
                    "E_MASK_EMPTY",
                    f"{field}.{index}",
                    "keeps no channel; give repair=SEED to keep a random one",
                )
            indices = generator.integers(len(mask), size=1)
        kept.append(indices)
    return kept


def _sizes(widths: Sequence[int]) -> str:
    """``12 rows of width 12``, ``4 rows of widths 16,16,32,64``."""
    if len(set(widths)) == 1:
        return f"{len(widths)} rows of width {widths[0]}"
    return f"{len(widths)} rows of widths {','.join(map(str, widths))}"


def _widths(
    space: SearchSpace, field: str, rows: Sequence[Sequence[str]], kept: Sequence[Indices]
) -> dict[str, int]:
    """The values of the parameters that are widths of rows; a width that is none must be what its mask keeps."""
    nodes = {node.id: node for node in space.order}
    values: dict[str, int] = {}
    for index, (names, indices) in enumerate(zip(rows, kept, strict=True)):
        width = nodes[names[0]].shape()[1]
        if isinstance(width, Parameter):
            values[width.id] = len(indices)
        elif not isinstance(width, Expression) and width != len(indices):
            fail("E_WIDTH", f"{field}.{index}", f"keeps {len(indices)} channels, but {names[0]} has {width}")
    return values
