"""Target descriptions: what a chip or a machine is and which kernels it can run. Data, no prices."""

from hannah_hw.targets.accelerator import Accelerator
from hannah_hw.targets.fields import Sourced, SourcedNumber, SourcedWatts
from hannah_hw.targets.host import Host, HostRuntime, host
from hannah_hw.targets.legality import Legality, Predicate, compile_legality
from hannah_hw.targets.load import (
    describe_target,
    json_schema,
    list_targets,
    load_target,
    parse_target,
    split_runtime,
)
from hannah_hw.targets.microcontroller import Microcontroller, microcontroller
from hannah_hw.targets.models import KernelRuntime, KernelsModel
from hannah_hw.targets.rules import RULE_SETS, OperatorRule
from hannah_hw.targets.schema import Target

__all__ = [
    "RULE_SETS",
    "Accelerator",
    "Host",
    "HostRuntime",
    "KernelRuntime",
    "KernelsModel",
    "Legality",
    "Microcontroller",
    "OperatorRule",
    "Predicate",
    "Sourced",
    "SourcedNumber",
    "SourcedWatts",
    "Target",
    "compile_legality",
    "describe_target",
    "host",
    "json_schema",
    "list_targets",
    "load_target",
    "microcontroller",
    "parse_target",
    "split_runtime",
]
