"""Findings of an evaluation, and what is shown of them: figures, tables, and one HTML page that needs nothing else."""
