"""A linear probe: the trainable part of a classifier with a frozen encoder, trained on embeddings."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.encoders.description import EncoderDescription
from histoforge.classifiers.encoders.encoder import open_encoder
from histoforge.classifiers.network import Classifier
from histoforge.metrics.embeddings import patch_features
from histoforge.patches import PatchSet
from histoforge.patches.device import Batch, DevicePatches
from histoforge.training.device import resolve_precision


class LinearProbe(nn.Module):
    """Dropout and head of a classifier, whose parameters it shares; it takes embeddings in place of images.

    Attributes:
        input_size: height and width of an embedding, 1 px.
    """

    input_size = (1, 1)

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.dropout, self.head, self.fc = classifier.dropout, classifier.head, classifier.fc

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute logits, float32 [B, classes], of embeddings [B, D]."""
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: Tensor = self.fc(self.head(self.dropout(embeddings)))
        return logits


class DeviceEmbeddings(DevicePatches):
    """The embeddings of a patch set in place of its pixels.

    Attributes:
        images: embeddings, float32 [N, D].
        labels: int64 [N].
    """

    def batch(self, rows: Tensor) -> Batch:
        """Return the embeddings at `rows`, int64 [B]."""
        stored_rows = rows.to(self.images.device)
        return Batch(self.images[stored_rows], self.labels[stored_rows], rows)


def embedder(
    architecture: Architecture, device: torch.device, precision: str
) -> Callable[[Sequence[PatchSet], torch.device], DeviceEmbeddings]:
    """Return a function that loads patch sets as embeddings; those of an earlier run are read from the cache.

    Args:
        architecture: an architecture with the backbone 'encoder'.
        device: where to embed.
        precision: 'auto', 'float32' or 'bfloat16'.

    Raises:
        ModelError: the weights are missing or damaged, or do not fit.
    """
    description = EncoderDescription(**architecture.encoder, weights=architecture.weights)
    encoder = open_encoder(description, device, resolve_precision(precision, device))

    def load(sets: Sequence[PatchSet], device: torch.device) -> DeviceEmbeddings:
        embeddings = [patch_features(encoder, patches, device, label="embeddings") for patches in sets]
        labels = np.concatenate([patches.labels for patches in sets])
        on_device = torch.from_numpy(np.concatenate(embeddings)).to(device)
        return DeviceEmbeddings(on_device, torch.from_numpy(labels).to(device), device)

    return load
