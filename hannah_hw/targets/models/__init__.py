"""The kinds of cost models a target can name, one module each.

`Model` is the type of a target's ``model`` field: the union of the kinds, told apart by their ``kind``.
"""

from hannah_hw.targets.models.kernels import KernelRuntime, KernelsModel

Model = KernelsModel

__all__ = ["KernelRuntime", "KernelsModel", "Model"]
