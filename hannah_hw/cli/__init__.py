"""The command line ``hannah-hw``: one thin module per verb over the library."""

from hannah_hw.cli.app import main

__all__ = ["main"]
