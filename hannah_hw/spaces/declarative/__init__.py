"""Search spaces that are written as YAML: the format ``hannah-space/1`` and the dialect ``vega/0.9.3``.

`hannah_hw.load_space` loads them; `hannah_hw.spaces.declarative.document` describes the format, and
`hannah_hw.spaces.declarative.registry` how a block is written.
"""

from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import SpaceDocument, load_document, parse_space
from hannah_hw.spaces.declarative.dump import dump
from hannah_hw.spaces.declarative.problems import SpaceWarning
from hannah_hw.spaces.declarative.registry import (
    Count,
    Network,
    Positive,
    Ref,
    Value,
    Values,
    block,
    fail,
    process,
    warn,
)
from hannah_hw.spaces.declarative.schema import json_schema
from hannah_hw.spaces.declarative.search_algorithm import AskedSearch

__all__ = [
    "AskedSearch",
    "Count",
    "Network",
    "Positive",
    "Ref",
    "SpaceDocument",
    "SpaceWarning",
    "Value",
    "Values",
    "block",
    "build",
    "dump",
    "fail",
    "json_schema",
    "load_document",
    "parse_space",
    "process",
    "warn",
]
