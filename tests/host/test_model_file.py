"""Files of host models that would take more than they give."""

from __future__ import annotations

import pytest

from hannah_hw.errors import TargetError
from hannah_hw.host.model_file import parse_host_model

LAW = """\
format: hannah-host-model/1
block: 8
run_s: 1.0e-6
interval: {{coverage: 0.9, additivity: 0.02, factor: 1.0, networks: 0}}
laws:
  add:
    error: {{median: 0.1, p90: 0.2, n: 2}}
    rates: {{call: 1.0e-6}}
    length: 1.0
    share: 0.0
    deviation: 0.1
    calibration: 1.0
    seconds: [{seconds}]
    work: [{work}]
"""


def law(kernels):
    return LAW.format(seconds=", ".join(["1"] * kernels), work=", ".join(["[1]"] * kernels))


def test_a_law_has_as_many_kernels_as_a_matrix_of_them_fits_into_memory():
    assert len(parse_host_model(law(4096), "host.yaml").laws["add"].seconds) == 4096
    with pytest.raises(TargetError, match=r"laws\.add\.seconds: has 4097 entries; it may have up to 4096"):
        parse_host_model(law(4097), "host.yaml")
