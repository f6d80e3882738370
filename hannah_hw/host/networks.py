"""What ONNX Runtime makes of candidates and of files: kernels and bytes of weights, remembered by network."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.explain import NO_NETWORK
from hannah_hw.errors import ModelError, SpaceError, UnsupportedError
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.kernels import HostKernel
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.spaces import Candidate, SearchSpace

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.targets.models.learned import Precision

#: Networks of a space that are remembered; each takes a few kibibytes.
_KEPT: Final = 1 << 14


@dataclass(frozen=True)
class HostNetwork:
    """A network as ONNX Runtime runs it here.

    Attributes:
        kernels: In execution order; none where it cannot run.
        weight_bytes: Of the initialisers of its model.
        refusal: Why it cannot run; empty: it can.
    """

    kernels: tuple[HostKernel, ...]
    weight_bytes: int
    refusal: str = ""

    @classmethod
    def of_model(
        cls,
        model: ModelProto | str | os.PathLike[str],
        *,
        threads: int,
        shapes: GivenShapes | None = None,
    ) -> HostNetwork:
        """The network of a model; see `hannah_hw.host.graph.optimised_kernels`.

        Raises:
            ModelError: ONNX Runtime cannot run it.
        """
        kernels = optimised_kernels(model, shapes=shapes, threads=threads)
        return cls(kernels, _weight_bytes(model))


class NetworkBook:
    """The networks of one search space, for one precision and number of threads.

    A candidate is written and optimised once, and kernels that are the same are one object.

    Args:
        precision: Of the candidates.
        threads: Threads within an operator.
    """

    def __init__(self, precision: Precision, threads: int) -> None:
        self._precision = precision
        self._threads = threads
        self._networks: OrderedDict[bytes, HostNetwork] = OrderedDict()
        self._kernels: dict[str, HostKernel] = {}

    def networks(self, space: SearchSpace, rows: NDArray[np.float64]) -> list[HostNetwork]:
        """The networks of (P, D) canonical rows; one that cannot run says why, and ends nothing."""
        return [self._network(space, row) for row in rows]

    def _network(self, space: SearchSpace, row: NDArray[np.float64]) -> HostNetwork:
        key = row.tobytes()
        if key in self._networks:
            self._networks.move_to_end(key)
            return self._networks[key]
        try:
            model = candidate_model(Candidate(space, row), self._precision)
            new = HostNetwork.of_model(model, threads=self._threads)
        except SpaceError:
            found = HostNetwork((), 0, NO_NETWORK)
        except (ModelError, UnsupportedError) as failure:
            found = HostNetwork((), 0, str(failure))
        else:
            kernels = tuple(self._kernels.setdefault(kernel.key, kernel) for kernel in new.kernels)
            found = HostNetwork(kernels, new.weight_bytes)
        if len(self._networks) >= _KEPT:
            self._networks.popitem(last=False)
        self._networks[key] = found
        return found


#: Space -> (precision, threads) -> its networks.
_BOOKS: WeakKeyDictionary[SearchSpace, dict[tuple[str, int], NetworkBook]] = WeakKeyDictionary()


def book_of(space: SearchSpace, precision: Precision, threads: int) -> NetworkBook:
    """What is remembered of a space, as long as the space lives."""
    books = _BOOKS.setdefault(space, {})
    return books.setdefault((precision, threads), NetworkBook(precision, threads))


def _weight_bytes(model: ModelProto | str | os.PathLike[str]) -> int:
    """Bytes of the initialisers of a model, also of those that lie in other files."""
    import onnx

    graph = (model if isinstance(model, onnx.ModelProto) else _without_weights(Path(model))).graph
    return sum(_bytes(tensor) for tensor in graph.initializer)


def _without_weights(path: Path) -> Any:
    import onnx

    return onnx.load(path, load_external_data=False)


def _bytes(tensor: Any) -> int:
    """Bytes of the elements of an `onnx.TensorProto`; 4-bit ones lie two in a byte."""
    from onnx import TensorProto, helper

    count = int(np.prod(tensor.dims, dtype=np.int64))
    if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4):
        return (count + 1) // 2
    if tensor.data_type == TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    return count * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
