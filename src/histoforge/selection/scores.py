"""Scores of candidates under Monte Carlo dropout: entropy, distance to the class centroid, confidence."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from histoforge.classifiers.backbones.base import Layers, Trunk
from histoforge.classifiers.network import Classifier, Tail
from histoforge.core.errors import ModelError, PatchSetError
from histoforge.core.progress import Progress
from histoforge.core.seeds import derive_seed
from histoforge.core.timings import spent
from histoforge.patches.blocks import Images, read_batches
from histoforge.training.device import autocast


@dataclass(frozen=True)
class Scores:
    """Scores of candidates.

    Attributes:
        entropy: mean over the passes of the predictive entropy, nats, float64 [N].
        entropy_of_mean: entropy of the mean prediction, nats, float64 [N].
        distance: D_f to the centroid of the class that they were drawn as, float64 [N], in [0, 4 L] for L layers.
        confidence: mean over the passes of the probability of that class, float64 [N], in [0, 1].
    """

    entropy: NDArray[np.float64]
    entropy_of_mean: NDArray[np.float64]
    distance: NDArray[np.float64]
    confidence: NDArray[np.float64]


class Scorer:
    """Scores candidates by K passes of Monte Carlo dropout (Xue et al. 2021, section 3.2 and Algorithm 1).

    A4-9: everything before the dropout is the same in each pass. The trunk and the distances of its layers are
    therefore computed once, and the K tails as one batch; the result is that of K full passes with the same dropout
    masks.

    A4-8: the layers are the stages of the backbone, which are the four residual stages of a ResNet (or, with 'blocks',
    all blocks). A4-10: the entropy is the mean of the passes' entropies ("mean of entropy across 5 runs"); the entropy
    of the mean prediction is also reported.

    Attributes:
        centroids: centroids of each layer, unit-normalised over channels, float32 [classes, C_l, H_l, W_l].
        streams: the random generator of each pass's dropout masks.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        passes: int,
        layers: Layers,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Prepare `classifier` for scoring.

        Args:
            classifier: the feature extractor, on `device`.
            passes: K.
            layers: 'stages' or 'blocks'.
            seed: seed of the dropout masks; each pass has its own random stream.
            device: where to compute.
            dtype: torch.bfloat16 runs the network under autocast; scores are float32 and sums float64 in either case.
        """
        self.classifier, self.layers = classifier, layers
        self.device, self.dtype = device, dtype
        classifier.mc_dropout(False)
        self.centroids: list[Tensor] = []
        self.streams = [self._stream(seed, "pass", k) for k in range(passes)]
        self._centroid_stream = self._stream(seed, "centroid")

    @torch.inference_mode()
    def fit(self, real: Images, labels: NDArray[np.int64], classes: int, batch_size: int) -> None:
        """Compute the class centroids (eq. 7) from the real training patches, reading them once.

        A4-8: a centroid is the mean of the raw activations at each position, over all patches of the class, from one
        Monte Carlo pass. It is then unit-normalised over channels (the hat on c_i in eq. 6) and stays fixed.

        Args:
            real: the patches.
            labels: their classes, int64 [N].
            classes: number of classes.
            batch_size: number of patches computed at once.

        Raises:
            PatchSetError: a class has no real patches.
        """
        counts = torch.from_numpy(np.bincount(labels, minlength=classes))
        if not bool((counts > 0).all()):
            raise PatchSetError(
                "A class has no patches in the train split, and so no centroid: add patches of every class."
            )
        sums: list[Tensor] = []
        with Progress("class centroids", len(real), "patches") as progress:
            for rows, images in read_batches(real, batch_size, self.device):
                with autocast(self.device, self.dtype), spent("compute", patches=len(images)):
                    trunk = self.classifier.trunk(images, self.layers)
                    tail = self.classifier.tail(trunk.hidden, self.masks([self._centroid_stream], trunk.hidden))
                members = F.one_hot(torch.tensor(labels[rows]), classes).T.float().to(self.device)
                for layer, activation in enumerate((*trunk.maps, tail.map)):
                    total = torch.einsum("kb,bchw->kchw", members, activation.float()).double()
                    if layer == len(sums):
                        sums.append(torch.zeros_like(total))
                    sums[layer] += total
                progress.advance(len(images))
        shape = (-1, 1, 1, 1)
        self.centroids = [
            F.normalize(total / counts.to(total.device).view(shape), dim=1)
            .float()
            .contiguous(memory_format=torch.channels_last)
            for total in sums
        ]

    @torch.inference_mode()
    def score(self, images: Tensor, labels: Tensor) -> Scores:
        """Score a batch; the dropout masks continue the random streams of the previous batch.

        Args:
            images: float [B, 3, H, W] in [-1, 1].
            labels: the class that each was drawn as, int64 [B].

        Raises:
            ModelError: the classifier's outputs are not finite.
        """
        passes = len(self.streams)
        with autocast(self.device, self.dtype), spent("compute", patches=len(images)):
            trunk = self.classifier.trunk(images, self.layers)
            masks = self.masks(self.streams, trunk.hidden)
            tail = self.classifier.tail(torch.cat([trunk.hidden] * passes), masks)
        distance = self._distance(trunk, tail, labels)
        log_p = tail.logits.double().log_softmax(1).view(passes, len(images), -1)
        mean_p = log_p.exp().mean(0)
        scores = Scores(
            entropy=_numpy(entropy(log_p.exp()).mean(0)),
            entropy_of_mean=_numpy(entropy(mean_p)),
            distance=_numpy(distance),
            confidence=_numpy(mean_p.gather(1, labels.view(-1, 1)).squeeze(1)),
        )
        if not (np.isfinite(scores.entropy).all() and np.isfinite(scores.distance).all()):
            raise ModelError(
                f"The classifier {self.classifier.name} returns values that are not finite: train it again, or use "
                "precision=float32."
            )
        return scores

    def _distance(self, trunk: Trunk, tail: Tail, labels: Tensor) -> Tensor:
        """Compute D_f, float64 [B], from a trunk of B images and the tails of all passes, one pass after the other."""
        passes, batch = len(self.streams), len(labels)
        *trunk_centroids, tail_centroid = self.centroids
        distance = torch.zeros(batch, dtype=torch.float64, device=self.device)
        for activation, centroid in zip(trunk.maps, trunk_centroids, strict=True):
            distance += feature_distance(activation, centroid[labels])
        tail_distance = feature_distance(tail.map, tail_centroid[labels.repeat(passes)])
        return distance + tail_distance.view(passes, batch).mean(0)

    def masks(self, streams: list[torch.Generator], hidden: Tensor) -> Tensor:
        """Draw dropout masks (0 or 1/(1-p)) for each stream's pass over `hidden`, [streams B, ...].

        They are channels_last where `hidden` is [B, C, H, W]. A random 64-bit integer makes four decisions, so p is
        resolved to 1/65536. Drawing one number per decision took a tenth of the scoring time.
        """
        keep = 1 - self.classifier.dropout.p
        last = round(keep * 2**16) - 2**15 - 1
        shape = hidden.movedim(1, -1).shape if hidden.ndim == 4 else hidden.shape
        count = shape.numel()
        draws = [
            torch.empty(-(-count // 4), dtype=torch.int64, device=self.device)
            .random_(-(2**63), None, generator=stream)
            .view(torch.int16)[:count]
            .view(shape)
            for stream in streams
        ]
        masks = (torch.cat(draws) <= last).to(hidden.dtype).div_(keep)
        return masks.movedim(-1, 1) if hidden.ndim == 4 else masks

    def _stream(self, seed: int, *purpose: str | int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(derive_seed(seed, "monte carlo dropout", *purpose))


def feature_distance(activation: Tensor, centroid: Tensor) -> Tensor:
    """Compute one layer's and one pass's term of D_f, float64 [B] (eq. 6).

    The term is the mean over positions of || a_hat - c_hat ||^2, where a_hat is the activation divided by its Euclidean
    norm over channels (0 where all channels are 0). For two unit vectors it is 2 - 2 cos.

    Args:
        activation: [B, C, H, W], raw.
        centroid: [B, C, H, W], already unit-normalised over channels.
    """
    unit = F.normalize(activation.float(), dim=1)
    return (unit - centroid).square_().sum(1).double().mean((1, 2))


def entropy(p: Tensor) -> Tensor:
    """Return the entropy of probabilities over the last dimension, nats; 0 log 0 is 0."""
    return torch.special.entr(p).sum(-1)


def _numpy(values: Tensor) -> NDArray[np.float64]:
    return values.cpu().numpy()
