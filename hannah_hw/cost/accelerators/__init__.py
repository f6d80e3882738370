"""Pricing accelerators: tables of distinct layers in, their cycles and energy out."""

from hannah_hw.cost.accelerators.layers import LOOPS, MAC_KINDS, PLACEMENT_COLUMNS, LayerCosts, Layers

__all__ = ["LOOPS", "MAC_KINDS", "PLACEMENT_COLUMNS", "LayerCosts", "Layers"]
