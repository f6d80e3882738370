"""This machine as a target: ONNX Runtime, the kernels that it runs, and what they take."""

from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.kernels import HostKernel, HostTensor
from hannah_hw.host.model import HostModel, KernelPrediction
from hannah_hw.host.rows import HostRow

__all__ = ["HostKernel", "HostModel", "HostRow", "HostTensor", "KernelPrediction", "optimised_kernels"]
