"""Libraries of kernels by name: the classes whose coefficients a cost model gives."""

from collections.abc import Mapping
from typing import Final

from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.cost.libraries.cmsis_nn import CMSIS_NN
from hannah_hw.cost.libraries.hannah_dsp import HANNAH_DSP
from hannah_hw.cost.libraries.hannah_dsp_slow_flash import HANNAH_DSP_SLOW_FLASH
from hannah_hw.cost.libraries.hannah_helium import HANNAH_HELIUM
from hannah_hw.cost.libraries.hannah_portable import HANNAH_PORTABLE

#: Name -> library.
LIBRARIES: Final[Mapping[str, Library]] = {
    library.name: library
    for library in (CMSIS_NN, HANNAH_DSP, HANNAH_DSP_SLOW_FLASH, HANNAH_HELIUM, HANNAH_PORTABLE)
}

__all__ = ["LIBRARIES", "KernelClass", "Library"]
