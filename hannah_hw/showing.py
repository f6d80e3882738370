"""What objects look like in a notebook.

How a space or a report looks is drawn from what stands above it, so the drawing lives in `hannah_hw.notebook`, above
everything; objects reach it by name when somebody looks at them, and importing them stays cheap.
"""

from __future__ import annotations

import importlib


class Shown:
    """Base of objects that Jupyter shows as HTML; everywhere else their plain ``repr`` is what is seen."""

    def _repr_html_(self) -> str:
        """HTML that a notebook shows: a fragment without scripts, with all text escaped."""
        html: str = importlib.import_module("hannah_hw.notebook").html_of(self)
        return html
