"""Sections of the pages, made from findings, text, and figures."""
