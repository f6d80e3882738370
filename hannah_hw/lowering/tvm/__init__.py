"""A second view of a model: lowered by TVM, in a process of its own. Nothing else imports TVM."""

from hannah_hw.lowering.tvm.agreement import Group, compare
from hannah_hw.lowering.tvm.lowered import Lowered, TvmKernel
from hannah_hw.lowering.tvm.process import TvmWorker

__all__ = ["Group", "Lowered", "TvmKernel", "TvmWorker", "compare"]
