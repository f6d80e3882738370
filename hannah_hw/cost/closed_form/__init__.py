"""Cycles and energy of a layer as closed forms of its sizes: registered functions, or formulas of a target file."""

from hannah_hw.cost.closed_form.model import price_closed_form, priced_kinds

__all__ = ["price_closed_form", "priced_kinds"]
