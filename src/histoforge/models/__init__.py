"""Published models: immutable versions, the champion among them, and the gate that a challenger must pass."""

from histoforge.models.card import ModelCard
from histoforge.models.publications import Publication
from histoforge.models.store import ModelStore, PublishResult, Verdict, model_names

__all__ = ["ModelCard", "ModelStore", "Publication", "PublishResult", "Verdict", "model_names"]
