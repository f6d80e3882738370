"""Float32 networks as firmware: kernels in C from TVM, memory by the same planner as int8 networks."""

from hannah_hw.firmware.floating.network import FloatLayer, FloatNetwork, FloatValue, read_float_network
from hannah_hw.firmware.floating.project import FloatProject, generate_float

__all__ = [
    "FloatLayer",
    "FloatNetwork",
    "FloatProject",
    "FloatValue",
    "generate_float",
    "read_float_network",
]
