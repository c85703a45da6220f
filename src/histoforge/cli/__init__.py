"""The command line: `histoforge STEP`, `histoforge run PIPELINE`, `histoforge inspect PATH`."""

from histoforge.cli.app import main

__all__ = ["main"]
