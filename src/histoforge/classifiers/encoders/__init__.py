"""Encoders: frozen networks with published weights, each named by one file that describes it."""
