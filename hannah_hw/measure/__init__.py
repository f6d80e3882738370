"""Measuring instead of estimating: ONNX Runtime on this machine, emulated firmware, calibration, validation."""
