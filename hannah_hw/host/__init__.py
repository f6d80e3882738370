"""This machine as a target: ONNX Runtime, the kernels that it runs, and what they take."""
