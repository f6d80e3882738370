"""Int8 ONNX models in the QDQ form as integer networks."""

from hannah_hw.firmware.network.floats import dequantise, quantise_input
from hannah_hw.firmware.network.reading import read_network
from hannah_hw.firmware.network.tables import workload_of

__all__ = ["dequantise", "quantise_input", "read_network", "workload_of"]
