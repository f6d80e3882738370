"""Model kind ``closed_form``: cycles of a layer as a formula of its sizes."""

from __future__ import annotations

from typing import Literal

from hannah_hw.targets.fields import Strict


class ClosedFormModel(Strict):
    """Which formulas.

    Attributes:
        kind: ``closed_form``.
        form: Name of a registered form.
    """

    kind: Literal["closed_form"]
    form: str
