"""Patch classifiers: residual backbones with Monte Carlo dropout, their training, and arms on disk."""

from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.arms import load_arm, load_classifier, load_judge, read_arm
from histoforge.classifiers.network import Classifier, Layers, Tail, Trunk
from histoforge.classifiers.study import train
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
    "load_judge",
    "read_arm",
    "train",
]
