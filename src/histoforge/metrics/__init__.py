"""Scores of generated patches and of classifiers, and the statistics that decide what may be claimed from them.

Most functions are pure and take features [N, D], probabilities [N, C] or labels [N]; `extract` turns patches into
features. Every result that reaches a report is a frozen model that holds finite numbers only, with None where a number
could not be computed.
"""
