"""Prices: latency, energy, RAM and flash as functions of a workload and a target."""

from hannah_hw.cost.coefficients import CostModel, load_cost_model
from hannah_hw.cost.costs import Costs, WorkloadCosts
from hannah_hw.cost.price import price
from hannah_hw.cost.report import CostReport, Figure

__all__ = ["CostModel", "CostReport", "Costs", "Figure", "WorkloadCosts", "load_cost_model", "price"]
