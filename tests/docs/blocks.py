"""Code blocks of Markdown pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: The file it stands in.
        line: Its first line there, counted from 1.
        language: The word behind the fence.
        title: The file that a reader saves it as; None where there is none.
        text: Its lines.
    """

    page: Path
    line: int
    language: str
    title: str | None
    text: str

    @property
    def where(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(source):
        info = match["info"]
        title = _TITLE.search(info)
        found.append(
            Block(
                page,
                source.count("\n", 0, match.start()) + 2,
                info.split(" ")[0],
                title[1] if title else None,
                match["text"],
            )
        )
    assert source.count("\n```") % 2 == 0 or source.startswith("```"), f"{page}: a fence is not closed"
    return found


def commands(block: Block) -> list[str]:
    """The commands of a console block, comments and prompts removed, continued lines joined."""
    joined = block.text.replace("\\\n", " ")
    lines = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines()]
    return [" ".join(line.split()) if '"' not in line and "'" not in line else line for line in lines if line]
