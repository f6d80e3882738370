"""Narrowing a search space to what a target can run, before anything is sampled.

`rules` turns the operator rules of a target into conditions over the parameters of a space, `narrowing` finds the
levels that no runnable network has, and `legalized` puts both into effect.
"""

from hannah_hw.legalization.legalized import Legalized, legalize
from hannah_hw.legalization.narrowing import Removal

__all__ = ["Legalized", "Removal", "legalize"]
