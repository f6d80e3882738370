"""Int8 networks as bare-metal C: integer layers, their kernels, and the project that holds both."""

from hannah_hw.firmware.layers import Layer, Network, Value

__all__ = ["Layer", "Network", "Value"]
