"""Errors between the command line and a cluster."""

from histoforge.core.errors import HistoforgeError


class ClusterError(HistoforgeError):
    """A cluster that does not answer, refuses a request, or lacks something that the command needs."""
