"""What goes wrong between the command line and a cluster."""

from histoforge.core.errors import HistoforgeError


class ClusterError(HistoforgeError):
    """A cluster that does not answer, refuses, or lacks what is asked of it."""
