"""An ONNX model lowered by TVM: legalised, fused, planned; and what each fused kernel comes from.

Runs in the worker process only: TVM may end the process that it runs in. Provenance is followed by identity, never by
name, because TVM renames what it fuses: the importer says which variable an ONNX node became, legalisation keeps the
variables, and an operation inside a fused function is found again by what it calls and with which operands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hannah_hw.lowering.tvm.primitive import Primitives, element_bits

#: What identifies a value: a number, or the content of a constant.
_Key = Any

#: First part of the key of several values that a tuple puts together.
_TUPLE = "tuple"


class UnknownOperation(Exception):  # noqa: N818 (it is an answer of the worker, not an error of the package)
    """Something in the lowered module that is neither a kernel nor a view, or in the model that TVM cannot read."""


@dataclass(frozen=True)
class Fused:
    """A model on its way through TVM; each part is an `IRModule` whose function ``main`` is the network.

    Attributes:
        importer: What made `imported`, which knows the variable of each ONNX value.
        imported: Operations of Relax.
        legal: Each operation a kernel.
        groups: Kernels that are to be one in functions of their own.
        fused: Each of these functions one kernel.
        parameters: The values of `main`'s parameters after the graph's inputs, in order.
    """

    importer: Any
    imported: Any
    legal: Any
    groups: Any
    fused: Any
    parameters: list[Any]


def fuse(model: Any, primitives: Primitives) -> Fused:
    """Import, legalise and fuse a model.

    Args:
        model: An `onnx.ModelProto` of float32 with known shapes.
        primitives: What is known of kernels from models before.
    """
    import tvm
    from tvm import relax

    passes = relax.transform
    importer = _importer(relax, primitives)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    imported = importer.from_onnx(model.graph, opset)
    # Passes would copy the values of parameters.
    imported, parameters = relax.frontend.detach_params(imported)
    legal = primitives.legalise(passes.DecomposeOpsForInference()(imported))
    groups = tvm.transform.Sequential([passes.AnnotateTIROpPattern(), passes.FuseOps()])(legal)
    return Fused(
        importer, imported, legal, groups, passes.FuseTIR()(groups), list(parameters.get("main", ()))
    )


def planned(fused: Any) -> Any:
    """A fused module with storage allocated: calls of kernels with their results as last operands."""
    import tvm
    from tvm import relax

    passes = relax.transform
    return tvm.transform.Sequential(
        [
            passes.RewriteDataflowReshape(),
            passes.ToNonDataflow(),
            passes.RemovePurityChecking(),
            passes.CallTIRRewrite(),
            passes.StaticPlanBlockMemory(),
        ]
    )(fused)


def answer(model: Any, request: Mapping[str, Any], primitives: Primitives) -> dict[str, Any]:
    """Lower a model.

    Args:
        model: An `onnx.ModelProto` of float32 with known shapes.
        request: ``features`` is true where those of `hannah_hw.lowering.tvm.features` are wanted.
        primitives: What is known of kernels from models before.

    Returns:
        ``kernels`` in execution order (see `Provenance.kernels`), ``outputs`` (names of values) and ``planned_bytes``,
        the storages of TVM's static plan, without the graph's inputs and outputs. Kernels have ``features`` where they
        are wanted.
    """
    module = fuse(model, primitives)
    lowered = Provenance(model, module.importer, module.imported, module.legal)
    rows = lowered.kernels(module.groups, module.fused, primitives)
    if request.get("features"):
        rows = [row | {"features": primitives.features(module.fused[row["name"]])} for row in rows]
    return {
        "kernels": rows,
        "outputs": [output.name for output in model.graph.output],
        "planned_bytes": _planned_bytes(planned(module.fused)),
    }


def _importer(relax: Any, primitives: Primitives) -> Any:
    """TVM's importer, of which each ONNX node's result is a variable, and which need not infer types that are known."""
    from tvm.relax.expr import _update_type
    from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

    class Builder(relax.BlockBuilder):  # type: ignore[misc, unused-ignore]
        def normalize(self, expr: Any) -> Any:
            # A convolution without a bias comes twice; then it has its type.
            known = None if _has_type(expr) else primitives.legalise.result_type(expr)
            if known is not None:
                _update_type(expr, known)
            return super().normalize(expr)

    class Importer(ONNXGraphImporter):  # type: ignore[misc, unused-ignore]
        def _convert_operator(self, op_name: str, inputs: Any, attrs: Any, opset: int) -> Any:
            result = self._clamp(inputs) if op_name == "Clip" else None
            if result is None:
                try:
                    result = super()._convert_operator(op_name, inputs, attrs, opset)
                except KeyError as error:
                    raise UnknownOperation(
                        f"{op_name} has no {error.args[0]!r}, which TVM's importer wants"
                    ) from error
            if isinstance(result, relax.Call) and isinstance(result.ty, relax.TensorType | relax.TupleType):
                return self.bb.emit(result)
            return result

        def _clamp(self, inputs: Any) -> Any:
            """A clamp between two known numbers as one operation: TVM's own takes six, to pass on what is no number."""
            known = dict(self._params.values())
            bounds: list[Any] = [
                known[bound] if bound in known else getattr(bound, "value", None)
                for bound in list(inputs)[1:3]
                if bound is not None
            ]
            if len(bounds) != 2 or not all(hasattr(bound, "numpy") for bound in bounds):
                return None
            low, high = (float(bound.numpy()) for bound in bounds)
            return self.bb.emit(relax.op.clip(inputs[0], low, high))

    importer = Importer({}, "float32", keep_params_in_input=True)
    importer.bb = Builder()
    return importer


def _has_type(expression: Any) -> bool:
    """Whether TVM knows the type of an expression; one that is not known is of the base class."""
    return type(getattr(expression, "ty", None)).__name__ not in ("NoneType", "Type")


def _bindings(function: Any) -> list[Any]:
    return [binding for block in function.body.blocks for binding in block.bindings]


def _planned_bytes(plan: Any) -> int:
    """Bytes of all storages that TVM allocates."""
    total = 0
    for binding in _bindings(plan["main"]):
        if getattr(getattr(binding.value, "op", None), "name", "") == "relax.memory.alloc_storage":
            total += int(binding.value.args[0].values[0])
    return total


@dataclass(frozen=True)
class Call:
    """A call of a kernel.

    Attributes:
        name: Of the kernel.
        reads: Its operands, in order; the same value may be there twice.
        result: What it writes.
        positions: Operations of the legalised module that are in it.
    """

    name: str
    reads: list[_Key]
    result: _Key
    positions: list[int]


class Provenance:
    """The values and operations of the legalised module, and the ONNX nodes that they come from."""

    def __init__(self, model: Any, importer: Any, imported: Any, legal: Any) -> None:
        self.legal = legal
        main = legal["main"]
        inputs = int(main.attrs["num_input"])
        self.key: dict[Any, _Key] = {}
        self.size: dict[_Key, tuple[int, int]] = {}
        self.constant: set[_Key] = set()
        self.names: dict[_Key, str] = {}
        self.ids: dict[_Key, str] = {}
        # What is computed twice is one value.
        self.operations: dict[_Key, tuple[list[int], _Key]] = {}
        graph_inputs = [v.name for v in model.graph.input]
        constants = {t.name for t in model.graph.initializer}
        graph_inputs = [name for name in graph_inputs if name not in constants]
        for index, parameter in enumerate(main.params):
            key = ("parameter", index)
            self.key[parameter] = key
            self._measure(key, parameter.ty)
            if index < inputs:
                self.names[key] = graph_inputs[index]
            else:
                self.constant.add(key)
        bindings = _bindings(main)
        for position, binding in enumerate(bindings):
            self._bind(position, binding)
        self.nodes = self._provenance(model, importer, _bindings(imported["main"]), bindings)

    def _measure(self, key: _Key, type_: Any) -> None:
        fields = getattr(type_, "fields", None)
        if fields is not None:
            for index, field in enumerate(fields):
                self._measure((key, index), field)
            return
        elements = math.prod(int(size) for size in type_.shape.values)
        self.size[key] = elements, elements * element_bits(type_.dtype) // 8

    def _bind(self, position: int, binding: Any) -> None:
        call = _call_tir(binding.value)
        if call is None:
            self.key[binding.var] = self.key_of(binding.value, self.key)
            return
        name, arguments = call
        operands = tuple(self.key_of(argument, self.key) for argument in arguments)
        key = ("operation", position)
        self._measure(key, binding.var.ty)
        if all(operand in self.constant for operand in operands):
            self.constant.add(key)
        positions, self.key[binding.var] = self.operations.setdefault((name, operands), ([], key))
        positions.append(position)

    def key_of(self, value: Any, keys: dict[Any, _Key]) -> _Key:
        """The key of a variable, a part of a tuple, or a constant."""
        if value in keys:
            return keys[value]
        kind = type(value).__name__
        if kind == "TupleGetItem":
            whole = self.key_of(value.tuple_value, keys)
            if whole[0] == _TUPLE:
                return whole[1][int(value.index)]
            part = (whole, int(value.index))
            if whole in self.constant:
                self.constant.add(part)
            return part
        if kind == "Tuple":
            return _TUPLE, tuple(self.key_of(field, keys) for field in value.fields)
        if hasattr(value, "value") and hasattr(value.value, "numpy"):
            array = value.value.numpy()
            key = ("constant", str(array.dtype), array.shape, array.tobytes())
            self.size[key] = int(array.size), int(array.nbytes)
            self.constant.add(key)
            return key
        name = getattr(getattr(value, "op", None), "name", kind)
        raise UnknownOperation(
            f"{name} is an operation that TVM has no kernel for without its run-time library"
        )

    def _provenance(self, model: Any, importer: Any, imported: list[Any], legal: list[Any]) -> list[str]:
        """First output of the ONNX node that each operation of the legalised module belongs to."""
        place = {binding.var: index for index, binding in enumerate(imported)}
        owner = [""] * len(imported)
        done = 0
        for node in model.graph.node:
            for output in node.output:
                end = place.get(importer._nodes.get(output)) if output in importer._nodes else None
                if end is None:
                    continue
                for index in range(done, end + 1):
                    owner[index] = node.output[0]
                done = max(done, end + 1)
                self.names.setdefault(self.key.get(imported[end].var), output)
        nodes, waiting = [""] * len(legal), 0
        for index, binding in enumerate(legal):
            if binding.var in place:
                nodes[waiting : index + 1] = [owner[place[binding.var]]] * (index + 1 - waiting)
                waiting = index + 1
        return nodes

    def kernels(self, groups: Any, fused: Any, primitives: Primitives) -> list[dict[str, Any]]:
        """What runs, in order.

        Returns:
            For each kernel ``name``, ``nodes`` (first outputs of ONNX nodes), ``macs``, ``reads`` and ``writes`` (for
            each value ``id``, ``name``, ``elements``, ``bytes``, ``constant``), ``scratch_bytes``, ``loops`` and
            ``view``; kernels that depend on no input of the graph are left out.
        """
        rows = []
        for call in self.calls(groups):
            if call.result in self.constant:
                continue
            facts = primitives.facts(fused[call.name])
            rows.append(
                {
                    "name": call.name,
                    "nodes": sorted({self.nodes[p] for p in call.positions} - {""}, key=self.nodes.index),
                    "reads": [self._value(key) for key in dict.fromkeys(call.reads)],
                    "writes": [self._value(key) for key in self.parts(call.result)],
                    **facts,
                }
            )
        return rows

    def calls(self, groups: Any) -> Iterator[Call]:
        """All calls of kernels in the module of fused groups, in order; those that depend on no input too."""
        keys: dict[Any, _Key] = {p: ("parameter", i) for i, p in enumerate(groups["main"].params)}
        for binding in _bindings(groups["main"]):
            found = self._group(groups, binding.value, keys)
            keys[binding.var] = self.key_of(binding.value, keys) if found is None else found.result
            if found is not None:
                yield found

    def _group(self, groups: Any, value: Any, keys: dict[Any, _Key]) -> Call | None:
        """One call; None where nothing is called."""
        call = _call_tir(value)
        if call is not None:
            operands = tuple(self.key_of(argument, keys) for argument in call[1])
            all_positions, result = self.operations[call[0], operands]
            return Call(call[0], list(operands), result, all_positions)
        if not hasattr(getattr(value, "op", None), "name_hint"):
            return None
        function = groups[value.op]
        operands = tuple(self.key_of(argument, keys) for argument in value.args)
        inner: dict[Any, _Key] = dict(zip(function.params, operands, strict=True))
        positions: list[int] = []
        for binding in _bindings(function):
            call = _call_tir(binding.value)
            if call is None:
                inner[binding.var] = self.key_of(binding.value, inner)
                continue
            arguments = tuple(self.key_of(argument, inner) for argument in call[1])
            found, inner[binding.var] = self.operations[call[0], arguments]
            positions += found
        result = self.key_of(function.body.body, inner)
        return Call(value.op.name_hint, list(operands), result, positions)

    def parts(self, key: _Key) -> Iterator[_Key]:
        """The tensors of a value."""
        if key in self.size:
            yield key
            return
        if key[0] == _TUPLE:
            for part in key[1]:
                yield from self.parts(part)
            return
        parts: Iterable[_Key] = (part for part in self.size if isinstance(part, tuple) and part[0] == key)
        yield from parts

    def _value(self, key: _Key) -> dict[str, Any]:
        elements, size = self.size[key]
        return {
            "id": self.ids.setdefault(key, str(len(self.ids))),
            "name": self.names.get(key, ""),
            "elements": elements,
            "bytes": size,
            "constant": key in self.constant,
        }


def _call_tir(value: Any) -> tuple[str, list[Any]] | None:
    """Name and operands of a call of a kernel."""
    if getattr(getattr(value, "op", None), "name", "") != "relax.call_tir":
        return None
    arguments = value.args[1]
    fields = list(arguments.fields) if type(arguments).__name__ == "Tuple" else [arguments]
    return value.args[0].name_hint, fields
