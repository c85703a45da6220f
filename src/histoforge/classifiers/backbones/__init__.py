"""Backbones of the classifiers: the table of their names, their common interface, and one module per family."""
