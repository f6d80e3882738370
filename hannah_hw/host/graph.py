"""The kernels that ONNX Runtime executes for a model: the nodes of its own optimised graph.

Nothing about fusion or layouts is guessed: the runtime writes the graph that it runs, with batch normalisations folded,
activations fused and reorders between layouts as nodes. That file holds no shapes of what lies between its nodes; one
run with the runtime's profile gives them, of any operator.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import ModelError
from hannah_hw.host.kernels import ABSENT, GRAPH, TENSOR, HostKernel, HostTensor
from hannah_hw.host.session import input_specs, open_session, random_inputs, run_once
from hannah_hw.lowering.loading import name_of
from hannah_hw.lowering.nodes import array_of, is_standard

if TYPE_CHECKING:
    from onnx import ModelProto

#: How the runtime's profile ends the name of a node's event.
_EVENT: Final = "_kernel_time"
#: The runtime's names of element types that differ from NumPy's.
_TYPES: Final = {"float": "float32", "double": "float64", "string": "str"}

#: Constants of at most so many elements can decide what there is to do.
_DECIDING: Final = 64
#: Operators whose constants of floating point decide it.
_BY_VALUE: Final = frozenset({"Clip", "Pad", "Pow", "Resize", "Upsample"})


def optimised_kernels(
    model: ModelProto | str | os.PathLike[str],
    *,
    shapes: Mapping[str, Sequence[int]] | Sequence[int] | None = None,
    threads: int = 1,
    optimisation: str = "all",
) -> tuple[HostKernel, ...]:
    """The kernels of a model as ONNX Runtime runs it on this machine's processor, in execution order.

    It depends on the processor (layouts follow the width of its vectors) and on the runtime's version.

    Args:
        model: A model, or the path of its file.
        shapes: Shape of the only input, or shapes by input name, where the model leaves them open; an open batch alone
            is taken as 1.
        threads: Threads within an operator.
        optimisation: A key of `hannah_hw.host.session.OPTIMISATIONS`.

    Raises:
        ModelError: See `hannah_hw.host.session.open_session`, `input_specs` and `run_once`.
    """
    import onnx

    where = name_of(model)
    source = Path(model) if isinstance(model, str | os.PathLike) else model.SerializeToString()
    with tempfile.TemporaryDirectory(prefix="hannah_hw.") as folder:
        written = Path(folder) / "optimised.onnx"
        session = open_session(
            source,
            threads=threads,
            optimisation=optimisation,
            optimised_path=written,
            profile_prefix=str(Path(folder) / "profile"),
        )
        specs = input_specs(session, where, shapes)
        run_once(session, random_inputs(specs), where)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        optimised = onnx.load(written)
    values = {tensor.name: _constant(tensor) for tensor in optimised.graph.initializer}
    for spec in specs:
        values[spec.name] = HostTensor(_numpy_name(np.dtype(spec.dtype)), spec.shape)
    versions = {entry.domain: entry.version for entry in optimised.opset_import}
    executed = list(_executed(events))
    return tuple(_kernel(node, executed, values, versions, where) for node in optimised.graph.node)


def _executed(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(Name, what the profile says) of each node that ran, in the order in which they ended."""
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_EVENT):
            yield event["name"].removesuffix(_EVENT), event["args"]


def _kernel(
    node: Any,
    executed: list[tuple[str, Mapping[str, Any]]],
    values: dict[str, HostTensor],
    versions: Mapping[str, int],
    where: str,
) -> HostKernel:
    """The kernel of a node.

    Args:
        node: An `onnx.NodeProto` of the optimised graph.
        executed: What has run and was not yet taken; that of the node is. Nodes run in another order than the graph has
            them in where that makes no difference, and those of nested graphs are among them.
        values: Name -> tensor of all that is known before the node; what it gives is added.
        versions: Domain -> operator set of the graph.
        where: File name, for messages.
    """
    from onnx import helper

    for place, (name, ran) in enumerate(executed):
        if ran.get("op_name") == node.op_type and node.name in ("", name):
            del executed[place]
            break
    else:
        raise ModelError(f"ONNX Runtime did not run its node {node.name or node.op_type!r}", where=where)
    outputs = [_computed(entry) for entry in ran.get("output_type_shape", [])]
    wanted = [name for name in node.output if name]
    outputs.extend(HostTensor("", ()) for _ in wanted[len(outputs) :])
    values.update(zip(wanted, outputs, strict=False))
    by_value = node.op_type in _BY_VALUE
    # What only an outer graph or a sequence holds has no shape here.
    inputs = [values.get(name, HostTensor("", ())) if name else ABSENT for name in node.input]
    attributes = {entry.name: _plain(helper.get_attribute_value(entry)) for entry in node.attribute}
    return HostKernel(
        op=node.op_type if is_standard(node) else f"{node.domain}.{node.op_type}",
        inputs=tuple(tensor if by_value else _without_floats(tensor) for tensor in inputs),
        outputs=tuple(outputs[: len(wanted)]),
        attributes=tuple(sorted(attributes.items())),
        version=_since(node, versions),
    )


def _since(node: Any, versions: Mapping[str, int]) -> int:
    """The operator set that brought the definition by which a node runs."""
    from onnx import defs

    domain = "" if is_standard(node) else node.domain
    newest = versions.get(domain, versions.get("ai.onnx", 1) if not domain else 1)
    if not defs.has(node.op_type, newest, domain):
        return newest if domain in ("", "ai.onnx.ml") else 1
    return int(defs.get_schema(node.op_type, newest, domain).since_version)


def _computed(entry: Mapping[str, Sequence[int]]) -> HostTensor:
    """A tensor of the profile, which is {type: sizes}."""
    for dtype, shape in entry.items():
        return HostTensor(_TYPES.get(dtype, dtype), tuple(shape))
    return HostTensor("", ())


def _constant(tensor: Any) -> HostTensor:
    """A weight, with its values where they can decide what there is to do.

    Args:
        tensor: An `onnx.TensorProto`.
    """
    from onnx import helper

    dtype = _numpy_name(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    shape = tuple(tensor.dims)
    values = None
    if dtype in ("int64", "bool", "float32") and np.prod(shape, dtype=np.int64) <= _DECIDING:
        values = tuple(array_of(tensor).ravel().tolist())
    return HostTensor(dtype, shape, constant=True, values=values)


def _without_floats(tensor: HostTensor) -> HostTensor:
    """A tensor without values of floating point, which are weights."""
    if tensor.dtype != "float32" or tensor.values is None:
        return tensor
    return HostTensor(tensor.dtype, tensor.shape, tensor.constant)


def _numpy_name(dtype: np.dtype[Any]) -> str:
    return "str" if dtype.kind == "O" else dtype.name


def _plain(value: Any) -> Any:
    """An attribute as JSON can hold it: see `HostKernel.attributes`."""
    import onnx

    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        array = array_of(value)
        return (TENSOR, _numpy_name(array.dtype), array.shape, tuple(array.ravel().tolist()))
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, onnx.GraphProto):
        return (GRAPH, hashlib.sha256(value.SerializeToString(deterministic=True)).hexdigest()[:16])
    return tuple(_plain(item) for item in value)
