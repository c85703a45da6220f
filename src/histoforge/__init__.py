"""Turns a few labelled histopathology slides into a better classifier by synthetic patches that are shown to help."""

__version__ = "0.1.0"
