"""The leak probe of PathUp: whether the feature of the U-Net tells the class from the image or from the prompt."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from histoforge.autoencoder.latents import LatentSet
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.generators.pathup.conditions import conditions_of, null_condition
from histoforge.generators.pathup.diffusion import add_noise
from histoforge.generators.pathup.trained import TrainedPathup
from histoforge.training.device import autocast

PROBE_TIME = 100
"""A time at which a tenth of the variance is noise, so that most of the image is left."""
IMAGES = 1000
BATCH = 64


def leak_probe(trained: TrainedPathup, latents: LatentSet, seed: int) -> dict[str, float]:
    """Measure how well a linear classifier tells the class from the feature z of noisy validation latents.

    A3-3: z contains the prompt, so the feature entropy loss can also be lowered by copying it. With the empty condition
    only the image can tell the class; with its own condition, the prompt can, too.

    Args:
        trained: the trained model.
        latents: its latents; the classifier is fitted to training latents and tested on validation latents.
        seed: seed of the choice of latents and of their noise.

    Returns:
        The accuracy on validation latents under the empty condition, `class_from_image`, and under their own,
        `class_with_prompt`, and the share of the most frequent class, `class_by_chance`; empty for a single
        class.
    """
    rng = numpy_rng(seed, "leak probe")
    fitted, tested = (rng.permutation(latents.rows(split))[:IMAGES] for split in ("train", "val"))
    labels, held_out = latents.labels[fitted], latents.labels[tested]
    if len(np.unique(labels)) < 2:
        return {}
    accuracies = {"class_by_chance": float(np.bincount(held_out).max() / len(held_out))}
    for name, prompted in (("class_from_image", False), ("class_with_prompt", True)):
        features = [_features(trained, latents, rows, prompted, seed) for rows in (fitted, tested)]
        probe = LogisticRegression(max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(_standardised(features[0], features[0]), labels)
        accuracies[name] = float(probe.score(_standardised(features[1], features[0]), held_out))
    return accuracies


def _standardised(features: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = (features - reference.mean(0)) / (reference.std(0) + 1e-6)
    return result


@torch.inference_mode()
def _features(
    trained: TrainedPathup, latents: LatentSet, rows: NDArray[np.int64], prompted: bool, seed: int
) -> NDArray[np.float32]:
    """Return z of latents with noise, float32 [N, D]."""
    rng = torch.Generator().manual_seed(derive_seed(seed, "leak probe noise"))
    features = []
    for batch in _batches(rows):
        clean = torch.from_numpy(latents.latents[batch, 0]).float()
        noise = torch.randn(clean.shape, generator=rng)
        times = torch.full((len(batch),), PROBE_TIME)
        noisy = add_noise(clean, noise, trained.alphas_cumprod[times])
        conditions = _conditions(trained, latents, batch, prompted)
        with autocast(trained.device, trained.dtype):
            _, feature = trained.network(*(tensor.to(trained.device) for tensor in (noisy, times, conditions)))
        features.append(feature.cpu().numpy())
    return np.concatenate(features)


def _batches(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _conditions(trained: TrainedPathup, latents: LatentSet, rows: NDArray[np.int64], prompted: bool) -> Tensor:
    if not prompted:
        return torch.full((len(rows),), null_condition(trained.network.classes))
    labels, levels = torch.from_numpy(latents.labels[rows]), torch.from_numpy(latents.levels[rows])
    return conditions_of(labels, levels, trained.config.alignment)
