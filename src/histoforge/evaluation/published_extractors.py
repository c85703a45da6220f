"""The extractors with published weights that a user names: Inception and encoders."""

from collections.abc import Sequence

import torch

from histoforge.classifiers.encoders.encoder import load_encoders
from histoforge.metrics.extract import Extractor
from histoforge.metrics.inception import inception_extractors


def published_extractors(
    inception_weights: str, inception_sha256: str, encoders: Sequence[str], device: torch.device, dtype: torch.dtype
) -> list[Extractor]:
    """Load Inception, if its weights are given, and the encoders.

    Args:
        inception_weights: path of clean-fid's network, or ''.
        inception_sha256: SHA-256 that its file must have; '' is unchecked.
        encoders: paths or s3:// addresses of the files of encoders.
        device, dtype: where and at which precision they compute.

    Raises:
        HistoforgeError: weights are missing, or are not those that their file names.
    """
    return [*inception_extractors(inception_weights, inception_sha256, device), *load_encoders(encoders, device, dtype)]
