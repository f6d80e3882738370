"""Text of a run as HTML."""

from __future__ import annotations

import html


def escape(value: object) -> str:
    """A value as text of a page or of a quoted attribute: no part of it is read as markup."""
    return html.escape(str(value), quote=True)
