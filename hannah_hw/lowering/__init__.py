"""Candidates to ONNX and back, and quantisation to int8."""

from hannah_hw.lowering.reader import OnnxModel, read_onnx
from hannah_hw.lowering.writer import to_onnx

__all__ = ["OnnxModel", "read_onnx", "to_onnx"]
