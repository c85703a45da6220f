"""Findings of an evaluation and their presentation: figures, tables and one self-contained HTML page."""
