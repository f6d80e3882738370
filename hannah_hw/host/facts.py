"""What this machine's ONNX Runtime is, as far as the kernels and the speed of a network depend on it."""

from __future__ import annotations

import functools
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hannah_hw.host.session import open_session

if TYPE_CHECKING:
    from hannah_hw.targets import HostRuntime

_NCHWC: Final = "com.microsoft.nchwc"


def this_runtime(threads: int = 1) -> HostRuntime:
    """This machine's ONNX Runtime, as the section ``runtime`` of a target says it.

    Args:
        threads: Threads within an operator.

    Raises:
        TargetError: A number of threads that no target has.
    """
    import onnxruntime

    from hannah_hw.documents import Document
    from hannah_hw.errors import TargetError
    from hannah_hw.targets import HostRuntime

    facts = {
        "version": onnxruntime.__version__,
        "threads": threads,
        "processor": processor(),
        "nchwc_block": nchwc_block(),
    }
    return Document("runtime", facts, {}).validate(HostRuntime, TargetError)


def processor() -> str:
    """The processor's name, or its architecture where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.machine()
    return platform.processor() or platform.machine() or "unknown"


def made_on(threads: int = 1) -> str:
    """Processor, runtime and threads here, for rows: those of another machine are not comparable."""
    facts = this_runtime(threads)
    plural = "" if threads == 1 else "s"
    return f"{facts.processor}, onnxruntime {facts.version}, {threads} thread{plural}, blocks of {facts.nchwc_block}"


@functools.cache
def nchwc_block() -> int:
    """Channels of a block of the layout that float convolutions run in here; 1 where they run without blocks.

    It is seen in the graph that ONNX Runtime makes of a convolution with 3 output channels: its weights are padded to
    one block (`NchwcTransformer` in onnxruntime/core/optimizer).
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.ones((3, 3, 1, 1), np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        path = Path(folder, "optimised.onnx")
        open_session(model.SerializeToString(), optimised_path=path)
        optimised = onnx.load(path).graph
    blocked = [node for node in optimised.node if node.domain == _NCHWC and node.op_type == "Conv"]
    if not blocked:
        return 1
    dims = {tensor.name: tensor.dims for tensor in optimised.initializer}
    return int(dims[blocked[0].input[1]][0])
