"""Figures made from findings."""
