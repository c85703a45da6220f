"""Scores of generated patches and of classifiers, and the statistics that say what may be claimed of them.

Pure functions on features [N, D], probabilities [N, C] and labels [N]; `extract` turns patches into features. Every
result that reaches a report is a frozen model with finite numbers only, None where a number could not be computed.
"""
