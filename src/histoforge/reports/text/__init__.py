"""Sentences and numbers as text, made from findings."""
