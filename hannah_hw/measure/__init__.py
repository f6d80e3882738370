"""Measuring instead of estimating: firmware on emulated cores, ONNX Runtime here, calibration and validation."""

from hannah_hw.host.session import open_session
from hannah_hw.measure.calibration import calibrate
from hannah_hw.measure.emulated import measure_model
from hannah_hw.measure.host_comparison import Comparison, compare_models
from hannah_hw.measure.measurement import Measurement
from hannah_hw.measure.profile import ProfileReport, profile_model
from hannah_hw.measure.validation import ValidationReport, validate

__all__ = [
    "Comparison",
    "Measurement",
    "ProfileReport",
    "ValidationReport",
    "calibrate",
    "compare_models",
    "measure_model",
    "open_session",
    "profile_model",
    "validate",
]
