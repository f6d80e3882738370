"""Small pieces of HTML for notebooks: cards, tables and folded parts, in the colours that the notebook has.

Text takes the colour of its surroundings and lines a grey that is seen on white and on black, so that no theme has to
be known. There are no scripts, and whatever is not made here is escaped.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hannah_hw.wording import printable

_STYLE: Final = (
    "<style>"
    ".hannah-hw{font-size:13px;line-height:1.45;max-width:64em;border:1px solid rgba(128,128,128,.45);"
    "border-radius:6px;padding:.6em .9em;overflow-x:auto}"
    ".hannah-hw .head{font-weight:600;font-size:14px}"
    ".hannah-hw .soft{opacity:.72}"
    ".hannah-hw table{border-collapse:collapse;margin:.4em 0;font-size:12px}"
    ".hannah-hw th,.hannah-hw td{text-align:left;vertical-align:top;padding:.15em .8em .15em 0;"
    "border:0;border-bottom:1px solid rgba(128,128,128,.28);background:none;max-width:42em}"
    ".hannah-hw th{font-weight:600}"
    ".hannah-hw .number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".hannah-hw .bar{display:inline-block;height:.7em;background:currentColor;opacity:.45;min-width:1px}"
    ".hannah-hw summary{cursor:pointer}"
    ".hannah-hw pre{font-size:11.5px;line-height:1.35;margin:.4em 0;white-space:pre;background:none;color:inherit}"
    ".hannah-hw .badge{border:1px solid currentColor;border-radius:3px;padding:0 .35em;font-size:11px}"
    ".hannah-hw img{background:#fff;border-radius:4px;max-width:100%}"
    "</style>"
)


@dataclass(frozen=True)
class Markup:
    """HTML that needs no more escaping."""

    html: str


Cell = str | int | Markup | None


def text(value: Cell) -> str:
    """A value as HTML: escaped if it is no `Markup`; a dash where there is none."""
    if isinstance(value, Markup):
        return value.html
    return "-" if value is None else html.escape(printable(str(value)), quote=True)


def card(title: str, subtitle: str = "", *parts: Markup | None) -> str:
    """The frame of an object with its title.

    Args:
        title: What it is called.
        subtitle: What it is, in a few words.
        parts: What follows; nothing for None.
    """
    soft = f' <span class="soft">{text(subtitle)}</span>' if subtitle else ""
    body = "".join(part.html for part in parts if part is not None)
    return (
        f'{_STYLE}<div class="hannah-hw"><div><span class="head">{text(title)}</span>{soft}</div>{body}</div>'
    )


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Collection[int] = ()
) -> Markup | None:
    """A table; None without rows.

    Args:
        heads: Titles of the columns; none for a table of facts, whose first cells are titles.
        rows: Cells.
        numbers: Columns that are aligned to the right.
    """

    def cell(name: str, column: int, value: Cell) -> str:
        aligned = ' class="number"' if column in numbers else ""
        return f"<{name}{aligned}>{text(value)}</{name}>"

    lines = [
        "".join(cell("td" if heads or column else "th", column, value) for column, value in enumerate(row))
        for row in rows
    ]
    if not lines:
        return None
    head = "".join(cell("th", column, title) for column, title in enumerate(heads))
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return Markup(f"<table>{top}<tbody>{body}</tbody></table>")


def folded(title: str, part: Markup | None) -> Markup | None:
    """A part that opens when it is asked for; None of nothing."""
    if part is None:
        return None
    return Markup(f"<details><summary>{text(title)}</summary>{part.html}</details>")


def note(words: str) -> Markup:
    """A line of less weight."""
    return Markup(f'<div class="soft">{text(words)}</div>')


def lines(rows: Iterable[str]) -> Markup | None:
    """Lines of text in columns of equal width; None without any."""
    joined = "\n".join(text(row) for row in rows)
    return Markup(f"<pre>{joined}</pre>") if joined else None


def badge(word: str) -> Markup:
    """A word in a frame."""
    return Markup(f'<span class="badge">{text(word)}</span>')


def bar(share: float) -> Markup:
    """A bar of a share between 0 and 1; its whole length is 7 em."""
    width = 7 * min(max(share, 0.0), 1.0)
    return Markup(f'<span class="bar" style="width:{width:.2f}em"></span>')


def picture(svg: str, alternative: str) -> Markup:
    """An SVG document as an image, which keeps its styles to itself.

    Args:
        svg: The document.
        alternative: What it shows, for those who do not see it.
    """
    data = base64.b64encode(svg.encode()).decode()
    return Markup(f'<img alt="{text(alternative)}" src="data:image/svg+xml;base64,{data}">')
