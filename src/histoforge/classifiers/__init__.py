"""Patch classifiers: residual backbones with Monte Carlo dropout, their training, and arms on disk."""

from histoforge.classifiers.arms import load_arm, load_classifier, read_arm
from histoforge.classifiers.network import Classifier, Layers, Tail, Trunk
from histoforge.classifiers.study import Architecture, train
from histoforge.classifiers.training import Recipe

__all__ = [
    "Architecture",
    "Classifier",
    "Layers",
    "Recipe",
    "Tail",
    "Trunk",
    "load_arm",
    "load_classifier",
    "read_arm",
    "train",
]
