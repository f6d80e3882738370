"""Model kind ``block``: a neural processor that computes the output block by block, such as Arm's Ethos-U."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hannah_hw.targets.fields import Strict

#: A section of vela's configuration file, without ``System_Config.`` or ``Memory_Mode.``.
_Section = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class BlockModel(Strict):
    """Which processor, in which system; the names are those of Arm's compiler ethos-u-vela.

    Attributes:
        kind: ``block``.
        accelerator: The processor and its multiply-accumulates a cycle.
        system_config: Clock and memories: a section ``System_Config.NAME`` of vela's configuration file.
        memory_mode: What lies in which memory: a section ``Memory_Mode.NAME`` of it.
    """

    kind: Literal["block"]
    accelerator: Literal[
        "ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512"
    ]
    system_config: _Section
    memory_mode: _Section
