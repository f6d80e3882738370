"""Model kind ``loop_nest``: memory hierarchies with ports, and the cost of loop orderings on them."""

from hannah_hw.cost.loop_nest.mapping import Mapping, TemporalLoop
from hannah_hw.cost.loop_nest.model import cost_layers
from hannah_hw.cost.loop_nest.replay import replay

__all__ = ["Mapping", "TemporalLoop", "cost_layers", "replay"]
