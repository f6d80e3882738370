"""Kernels of TVM as plain functions of pointers, without its calling convention and its run-time library.

What `tvm.compile` builds checks shapes and types of packed arguments, which is most of a small kernel's code. Here the
parameters of a function are the addresses of its tensors, in the order of the kernel's operands, then of its scratch
memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hannah_hw.lowering.tvm.primitive import element_bits

#: Beginning of the names of functions; TVM calls some kernels as functions of C's library are called.
PREFIX: Final = "tvm_"
#: Bytes of a buffer inside of a kernel up to which it lies on the stack, or in registers.
_LOCAL_BYTES: Final = 64


@dataclass(frozen=True)
class Bare:
    """Functions of pointers.

    Attributes:
        module: A ``tvm.IRModule`` of them, ready for code generation for one target.
        scratch: For each function the bytes of the scratch buffers that it takes after its operands.
    """

    module: Any
    scratch: Mapping[str, tuple[int, ...]]


def bare(functions: Mapping[str, Any], target: Any) -> Bare:
    """Lower kernels to loops over pointers.

    Args:
        functions: Name of the function in the result -> ``tvm.tirx.PrimFunc``.
        target: A ``tvm.target.Target``.
    """
    from tvm import IRModule, s_tir, tirx, transform

    first, then = s_tir.transform, tirx.transform
    passes = [
        then.BindTarget(target),
        first.CanonicalizeLoop(),
        first.LowerInitBlock(),
        first.PlanAndUpdateBufferAllocationLocation(),
        first.ConvertBlocksToOpaque(),
        first.CompactBufferAllocation(),
        first.LowerMatchBuffer(),
        first.StmtSimplify(),
        first.LowerOpaqueBlock(),
        then.FlattenBuffer(),
        then.NarrowDataType(32),
        then.VectorizeLoop(False),
        then.StorageRewrite(),
        first.HoistIfThenElse(),
        then.UnrollLoop(),
        first.RenormalizeSplitPattern(),
        then.StmtSimplify(),
        then.RemoveNoOp(),
        first.RewriteUnsafeSelect(),
        then.CommonSubexprElim(),
    ]
    named = {name: function.with_attr("global_symbol", name) for name, function in functions.items()}
    loops = transform.Sequential(passes)(IRModule(named))
    taken = {variable.name_hint: _of_pointers(function) for variable, function in loops.functions.items()}
    module = IRModule({name: function for name, (function, _) in taken.items()})
    return Bare(then.LowerIntrin()(module), {name: scratch for name, (_, scratch) in taken.items()})


def generated(found: Bare, target: Any) -> Any:
    """The ``tvm.runtime.Module`` of a code generator, of which ``inspect_source`` shows the code."""
    from tvm import get_global_func

    return get_global_func(f"target.build.{target.kind.name}")(found.module, target)


def _of_pointers(function: Any) -> tuple[Any, tuple[int, ...]]:
    """A function of pointers, and the bytes of its scratch buffers."""
    from tvm import tirx
    from tvm.ir import PointerType

    statements = list(function.body.seq) if type(function.body).__name__ == "SeqStmt" else [function.body]
    pointers, declared, rest, scratch = [], [], [], []

    def point_at(tensor: Any) -> None:
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in str(tensor.name))
        pointer = tirx.Var(f"{name}_at", PointerType(tensor.ty.dtype, "global"))
        pointers.append(pointer)
        declared.append(tirx.DeclBuffer(tensor, data=pointer))

    for tensor in function.params:
        point_at(tensor)
    for statement in statements:
        size = _bytes(statement.buffer) if type(statement).__name__ == "AllocBuffer" else 0
        if size > _LOCAL_BYTES:
            point_at(statement.buffer)
            scratch.append(size)
        else:
            rest.append(statement)
    body = tirx.SeqStmt([*declared, *rest])
    result = tirx.PrimFunc(pointers, body, function.ret_type, function.attrs)
    return result.with_attr("calling_conv", 0), tuple(scratch)


def _bytes(tensor: Any) -> int:
    return math.prod(int(size) for size in tensor.shape) * element_bits(tensor.ty.dtype) // 8
