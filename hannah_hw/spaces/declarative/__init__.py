"""Search spaces that are written as YAML: the format ``hannah-space/1`` and the dialect ``vega/0.9.3``."""
