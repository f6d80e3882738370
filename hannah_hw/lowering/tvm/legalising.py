"""Operations of a model as kernels, each kind of operation worked out once for all models.

Two thirds of the time that TVM takes for a model go into writing the kernel of each operation. What that depends on is
known: the operation, its attributes, and the shapes and types of its operands. Candidates of one space share most of
it, and one network repeats itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: What makes kernels of an operation: a function of a builder and the operation's call.
_Rule = Callable[[Any, Any], Any]
#: Attribute of an operation of TVM that is its rule.
_RULE: Final = "FLegalize"
_CONVOLUTIONS: Final = frozenset({"relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d"})
#: Bytes of a constant operand up to which its content is part of what identifies an operation.
_CONSTANT_BYTES: Final = 1024


@dataclass(frozen=True)
class _Legal:
    """What an operation becomes: a kernel, its name, and which operands of the operation it is called with."""

    kernel: Any
    name: str
    operands: tuple[int, ...]
    result: Any


class Legaliser:
    """TVM's pass LegalizeOps with a memory.

    Attributes:
        hits: Operations whose kernel was known.
    """

    def __init__(self) -> None:
        self.hits = 0
        self._known: dict[Hashable, _Legal | None] = {}

    def __call__(self, module: Any) -> Any:
        """Legalise a module of one function ``main``; the same as the pass gives, names of kernels included."""
        from tvm import relax

        operations = {
            binding.value.op
            for block in module["main"].body.blocks
            for binding in block.bindings
            if hasattr(getattr(binding.value, "op", None), "get_attr")
        }
        rules = {op.name: op.get_attr(_RULE) for op in operations}
        remembered = {name: self._remembering(rule) for name, rule in rules.items() if rule is not None}
        return relax.transform.LegalizeOps(remembered)(module)

    def result_type(self, value: Any) -> Any | None:
        """The type of what a convolution gives, as its kernel has it; None of other operations.

        TVM infers it in a millisecond, which is longer than most of what else the import of a node takes.

        Args:
            value: A Relax expression.
        """
        if getattr(getattr(value, "op", None), "name", "") not in _CONVOLUTIONS:
            return None
        legal = self._legal(value, _flat(value.args), value.op.get_attr(_RULE))
        return None if legal is None else legal.result

    def _remembering(self, rule: _Rule) -> _Rule:
        """A rule of TVM that looks whether it has been asked before."""
        from tvm import relax

        def legalise(builder: Any, call: Any) -> Any:
            operands = _flat(call.args)
            legal = self._legal(call, operands, rule)
            if legal is None:
                return rule(builder, call)
            variable = builder.add_func(legal.kernel, legal.name)
            return relax.call_tir(variable, [operands[index] for index in legal.operands], legal.result)

        return legalise

    def _legal(self, call: Any, operands: Sequence[Any], rule: _Rule) -> _Legal | None:
        """What an operation becomes, where that is the call of one kernel."""
        key = _signature(call, operands)
        if key is None:
            return None
        if key in self._known:
            self.hits += 1
        else:
            self._known[key] = _worked_out(rule, call, operands)
        return self._known[key]


def _worked_out(rule: _Rule, call: Any, operands: Sequence[Any]) -> _Legal | None:
    """What a rule makes of an operation; None where that is more than the call of one kernel."""
    from tvm import relax

    # A builder of its own, so that the kernel gets the name that it would have as the first of its kind.
    builder = relax.BlockBuilder()
    result = rule(builder, call)
    if getattr(getattr(result, "op", None), "name", "") != "relax.call_tir":
        return None
    places = []
    for argument in result.args[1].fields:
        place = next((i for i, operand in enumerate(operands) if argument.same_as(operand)), None)
        if place is None:
            return None
        places.append(place)
    type_ = result.ty_args[0]
    variable = result.args[0]
    fields = getattr(type_, "fields", None)
    outputs = type_ if fields is None else list(fields)
    return _Legal(builder.get()[variable], variable.name_hint, tuple(places), outputs)


def _flat(arguments: Sequence[Any]) -> list[Any]:
    """Operands, those of tuples one by one."""
    flat = []
    for argument in arguments:
        flat.extend(_flat(argument.fields) if type(argument).__name__ == "Tuple" else [argument])
    return flat


def _signature(call: Any, operands: Sequence[Any]) -> Hashable | None:
    """All that the kernel of an operation depends on; None where an operand is of a kind not known here."""
    sorts = []
    for index, operand in enumerate(operands):
        # The same value twice is one operand of the kernel.
        first = next(i for i, other in enumerate(operands[: index + 1]) if other.same_as(operand))
        sort = _sort(operand)
        if sort is None:
            return None
        sorts.append((first, sort))
    nesting = tuple(len(a.fields) if type(a).__name__ == "Tuple" else -1 for a in call.args)
    return call.op.name, repr(call.attrs), nesting, tuple(sorts)


def _sort(operand: Any) -> Hashable | None:
    """What a kernel can depend on of one operand."""
    kind = type(operand).__name__
    if kind in ("ShapeExpr", "IntImm", "FloatImm", "StringImm", "DataTypeImm"):
        return kind, str(operand)
    type_ = operand.ty
    if type(type_).__name__ != "TensorType" or type(type_.shape).__name__ != "ShapeExpr":
        return None
    shape = tuple(getattr(size, "value", None) for size in type_.shape.values)
    if None in shape:
        return None
    # Some rules write the value of a constant into the kernel.
    content = None
    if hasattr(operand, "value") and hasattr(operand.value, "numpy"):
        array = operand.value.numpy()
        if array.nbytes > _CONSTANT_BYTES:
            return None
        content = array.tobytes()
    elif kind not in ("Var", "DataflowVar"):
        return None
    return shape, str(type_.dtype), content
