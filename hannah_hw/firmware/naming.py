"""Names that come from models, made safe for C, Make, CMake and Markdown.

A model's names are a stranger's text. Identifiers keep letters, digits and underscores; comments and documents show
printable ASCII, without what could end them.
"""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 40
#: Beginnings that would clash with our own names, with files of a project or with words of C.
_TAKEN: Final = frozenset(
    re.findall(
        r"\w+",
        "auto break case char const continue default do double else enum extern float for goto if inline int long "
        "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
        "asm bool true false nullptr thread_local alignas alignof constexpr typeof static_assert "
        "main layers weights start runtime_functions features hn kernels build host firmware all clean size library",
    )
)


def identifier(name: str) -> str:
    """A name as the prefix of C identifiers and of files: lower case, at most 40 characters.

    Args:
        name: Any text, such as the stem of a model's file.
    """
    text = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()[:_LONGEST].rstrip("_")
    if not text:
        return "network"
    return f"net_{text}" if text[0].isdigit() or text in _TAKEN else text


def comment(text: str) -> str:
    """A text inside of a C comment or a line of a document: printable ASCII on one line."""
    shown = "".join(c if " " <= c <= "~" else "_" for c in text)
    # Trigraphs are read before comments are; a backslash at a line's end joins lines.
    plain = re.sub(r"\?(?=\?)", "? ", shown.replace("\\", "!"))
    return plain.replace("*/", "* /").replace("/*", "/ *")


def markdown(text: str) -> str:
    """A text as a cell of a Markdown table: shown literally, whatever it holds."""
    plain = text.replace("`", "'").replace("|", "!").replace("<", "(").replace(">", ")")
    return f"`{comment(plain)}`"
