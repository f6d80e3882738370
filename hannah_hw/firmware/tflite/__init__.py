"""Integer networks as .tflite files, written without TensorFlow; the package ``tflite`` brings the format's schema."""

from hannah_hw.firmware.tflite.network import to_tflite

__all__ = ["to_tflite"]
