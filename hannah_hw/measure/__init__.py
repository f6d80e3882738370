"""Measuring instead of estimating: ONNX Runtime on this machine, calibration and validation of estimates."""

from hannah_hw.measure.calibration import calibrate
from hannah_hw.measure.host import open_session
from hannah_hw.measure.profile import ProfileReport, profile_model
from hannah_hw.measure.validation import ValidationReport, validate

__all__ = ["ProfileReport", "ValidationReport", "calibrate", "open_session", "profile_model", "validate"]
