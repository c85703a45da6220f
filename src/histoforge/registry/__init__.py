"""Published models: immutable versions, the champion among them, and the gate that a challenger must pass."""

from histoforge.registry.card import ModelCard
from histoforge.registry.publications import Publication
from histoforge.registry.store import Outcome, Registry, Verdict, model_names

__all__ = ["ModelCard", "Outcome", "Publication", "Registry", "Verdict", "model_names"]
