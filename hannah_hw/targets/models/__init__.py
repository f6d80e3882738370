"""The kinds of cost models a target can name, one module each."""

from hannah_hw.targets.models.block import BlockModel
from hannah_hw.targets.models.closed_form import ClosedFormModel
from hannah_hw.targets.models.kernels import KernelRuntime, KernelsModel
from hannah_hw.targets.models.learned import LearnedModel
from hannah_hw.targets.models.loop_nest import LoopNestModel

__all__ = ["BlockModel", "ClosedFormModel", "KernelRuntime", "KernelsModel", "LearnedModel", "LoopNestModel"]
