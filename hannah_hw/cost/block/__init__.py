"""Model kind ``block``: neural processors that compute their output block by block (Arm Ethos-U55 and U65)."""

__all__: list[str] = []
