"""Image folders and settings so small that a whole pipeline is a matter of seconds: those of `cluster-check`."""

from histoforge.cli.kubeflow.check.tiny import CLASSES, LEADERBOARD, PATHUP, SETTINGS, UNIFIED, write_images

__all__ = ["CLASSES", "LEADERBOARD", "PATHUP", "SETTINGS", "UNIFIED", "write_images"]
