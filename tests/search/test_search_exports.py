"""Public names exist and are sorted; importing the package stays light."""

import subprocess
import sys

import pytest

import hannah_hw.search
import hannah_hw.search.algorithms


@pytest.mark.parametrize("module", [hannah_hw.search, hannah_hw.search.algorithms])
def test_public_names_exist(module):
    assert module.__all__ == sorted(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)


def test_importing_the_search_imports_nothing_heavy():
    code = "import sys, hannah_hw.search; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "onnx", "onnxruntime", "sklearn", "rich", "pymoo"} & set(loaded.split())
