"""Integer networks as .tflite files, written without TensorFlow; the package ``tflite`` brings the format's schema."""

from hannah_hw.firmware.tflite.network import TfliteModel, tflite_model, to_tflite
from hannah_hw.firmware.tflite.reading import Outline, outline

__all__ = ["Outline", "TfliteModel", "outline", "tflite_model", "to_tflite"]
