"""Published models: immutable versions, the champion among them, and the gate that a challenger must pass."""

from histoforge.models.card import ModelCard
from histoforge.models.publications import Publication, Verdict
from histoforge.models.store import ModelStore, PublishResult, model_names

__all__ = ["ModelCard", "ModelStore", "Publication", "PublishResult", "Verdict", "model_names"]
