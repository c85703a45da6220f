"""Predict the patches of a slide."""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from histoforge.classifiers.network import Classifier
from histoforge.core.digests import digest_json
from histoforge.core.timings import spent
from histoforge.ingest.stains import normaliser_of
from histoforge.patches.device import to_unit
from histoforge.patches.images import Pixels
from histoforge.prediction.cutting import Cutting
from histoforge.slides import PlanSettings, Scale, Slide, Tissue, find_tissue, fit_to_slide, patch_scale, plan_patches
from histoforge.slides.batches import read_patches
from histoforge.training.device import autocast


@dataclass(frozen=True)
class SlidePrediction:
    """The predicted patches of a slide.

    Attributes:
        patches: one row per patch, row by row: x and y (upper left corner, level-0 px, int64) and tissue (fraction of
            the patch, float64 in [0, 1]).
        probabilities: of each patch and class, float32 [N, classes]; each row sums to 1.
        classes: class names; a predicted label is an index into this list.
        scale: the scale at which the patches were read.
        tissue: the slide's tissue, with a low-power picture.
    """

    patches: pd.DataFrame
    probabilities: NDArray[np.float32]
    classes: list[str]
    scale: Scale
    tissue: Tissue

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most probable class of each patch, int64 [N]."""
        return self.probabilities.argmax(axis=1)

    @property
    def corners(self) -> NDArray[np.float64]:
        """Left, top, right and bottom of each patch, float64 [N, 4], level-0 px relative to the scanned area.

        This is what QuPath's GeoJSON contains, since QuPath crops slides to the scanned area.
        """
        height, width = self.scale.footprint
        start = self.patches[["x", "y"]].to_numpy(np.float64) - np.asarray(self.tissue.origin)
        return np.concatenate([start, start + np.array([width, height])], axis=1)


@dataclass(frozen=True)
class Predictor:
    """A classifier with everything that determines its predictions.

    Attributes:
        classifier: the classifier, on `device`.
        cutting: how slides are cut.
        device, dtype: where and at which precision to compute.
        batch_size: maximum number of patches computed at once.
        threads: number of threads that read and decode.
    """

    classifier: Classifier
    cutting: Cutting
    device: torch.device
    dtype: torch.dtype
    batch_size: int
    threads: int

    @property
    def identity(self) -> str:
        """Digest of the classifier, the cutting and the precision."""
        return digest_json([self.classifier.info.digest, asdict(self.cutting), str(self.dtype)])

    def predict(self, slide: Slide) -> SlidePrediction:
        """Cut a slide into patches wherever there is tissue, and predict each.

        Stain normalisation is fitted to patches of the whole slide, as `preprocess` does.

        Raises:
            SlideError: the slide is damaged, too coarse, or of unknown resolution.
        """
        cutting, classes = self.cutting, self.classifier.info.classes
        scale = patch_scale(slide, cutting.patch_size, mpp=cutting.mpp)
        tissue = find_tissue(slide)
        settings = PlanSettings(stride=cutting.stride or None, min_tissue=cutting.min_tissue)
        plan = plan_patches(slide, scale, tissue, settings, slide_label=0).drop(columns="label")
        normaliser = normaliser_of(cutting.stain)
        transform = None if normaliser is None else fit_to_slide(normaliser, slide, plan, scale)
        probabilities = np.empty((len(plan), len(classes)), np.float32)
        for rows, images in read_patches(slide, plan, scale, self.threads, transform):
            for start in range(0, len(rows), self.batch_size):
                batch = slice(start, start + self.batch_size)
                probabilities[rows[batch]] = self._probabilities(images[batch])
        return SlidePrediction(plan, probabilities, classes, scale, tissue)

    @torch.inference_mode()
    def _probabilities(self, images: Pixels) -> NDArray[np.float32]:
        """Return the probabilities of the classes, float32 [n, classes], of patches, uint8 [n, h, w, 3]."""
        batch = to_unit(torch.from_numpy(images).permute(0, 3, 1, 2).to(self.device))
        with spent("compute", patches=len(images)), autocast(self.device, self.dtype):
            return self.classifier(batch).double().softmax(1).float().cpu().numpy()
