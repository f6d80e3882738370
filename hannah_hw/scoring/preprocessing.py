"""What a device does before it runs a model: files that lie beside the models of a run."""

from __future__ import annotations

from typing import Any, Final

import yaml

from hannah_hw.scoring.dataset import Dataset
from hannah_hw.sources.log_mel import front_end_model

#: The constants, and the front end as a model.
CONSTANTS: Final = "preprocessing.yaml"
FRONT_END: Final = "front_end.onnx"
_HEAD: Final = """\
# What becomes of a sample before a model sees it: x = (scale * raw - mean) / std for each channel.
# classes are in the order of the model's outputs.
"""


def preprocessing_files(data: Dataset) -> dict[str, bytes]:
    """File name -> content of what stands beside the models that were trained with a user's files.

    Args:
        data: The data set; one that was not read from such files gives nothing.

    Returns:
        `CONSTANTS`, and where samples are spectrograms `FRONT_END`: from a waveform to the input of a model.
    """
    if not data.reading:
        return {}
    constants: dict[str, Any] = {
        "format": "hannah-preprocessing/1",
        "input_shape": list(data.input_shape),
        "classes": list(data.names),
        "scale": data.scale,
        "mean": list(data.mean),
        "std": list(data.std),
        "reading": dict(data.reading),
    }
    text = _HEAD + yaml.safe_dump(constants, sort_keys=False, allow_unicode=True)
    files = {CONSTANTS: text.encode()}
    if data.front_end is not None:
        files[FRONT_END] = front_end_model(data.front_end, data.mean, data.std).SerializeToString()
    return files
