"""The blocks that a document can name, and how one is written.

A block is a function of a node and of the fields that its mapping in the document has; its signature is the schema::

    from hannah_hw.graph import Node
    from hannah_hw.spaces.declarative.registry import Positive, Ref, Value, Values, block, fail

    @block("Stack", expansion=1)
    def stack(x: Node, *, width: Value[Positive], strides: Values[Positive], inner: Ref, depth: int = 2) -> Node:
        \"\"\"One line that editors show.\"\"\"
        if isinstance(strides, list) and len(strides) != depth:
            fail("E_LENGTH", "strides", f"has {len(strides)} entries, depth is {depth}")
        for index in range(depth):
            x = inner(x, outchannel=width, stride=strides[index] if isinstance(strides, list) else strides)
        return x

* The first parameter is the data. All others are named in documents; one without a default is required there. They
  are annotated with `Value`, `Values` (see `hannah_hw.spaces.declarative.values`), `Ref`, or a plain type, which
  cannot be searched: ``int``, ``str``, ``Literal["a", "b"]``, ``list[int]``, ``dict[str, Values[int]]``, ``T | None``.
* A `Ref` is a nested block, ``{type: BasicBlock, ...}``, or a choice of some. Calling it builds it; the arguments of
  the call are fields that the document need not give, and must not give differently.
* Further arguments of `block` are facts about the block that an outer one asks for: ``inner.fact("expansion")``.
* Checks come before any node is made; `fail` and `warn` know the place in the file.
* The framework opens a scope of the module's or block's name, so a block needs no ``@scope``.

A process is a function of a whole `Network` with such a signature; it returns one.

``my_module:function`` and ``file.py:function`` name functions of the same kind, with or without a decorator, and so do
entry points of the group ``hannah_hw.blocks``.
"""

from hannah_hw.spaces.declarative.definitions import block, process
from hannah_hw.spaces.declarative.network import Network
from hannah_hw.spaces.declarative.problems import fail, warn
from hannah_hw.spaces.declarative.references import Ref
from hannah_hw.spaces.declarative.values import Count, Positive, Value, Values

__all__ = ["Count", "Network", "Positive", "Ref", "Value", "Values", "block", "fail", "process", "warn"]
