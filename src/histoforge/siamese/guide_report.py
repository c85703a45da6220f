"""The report beside a trained guide: `guide.json` and pictures."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoforge.core.seals import write_sealed
from histoforge.siamese.cost import InferenceCost
from histoforge.siamese.evaluation import PairReport
from histoforge.siamese.finetuning import ABLATIONS, TrainedNetwork
from histoforge.siamese.gradcam import gradcam_pictures
from histoforge.siamese.guide import Guide

REPORT_NAME, REPORT_SCHEMA = "guide.json", 1
PICTURE_NAME = "pictures/gradcam.png"


@dataclass(frozen=True)
class EvaluatedNetwork:
    """A trained network and its evaluation on pairs."""

    trained: TrainedNetwork
    pairs: PairReport

    @property
    def notes(self) -> list[str]:
        """Cautions about the evaluation."""
        return [f"Intervals: {self.pairs.accuracy.note}"] if self.pairs.accuracy.note else []

    def to_json(self) -> dict[str, Any]:
        """Return its stages, each with its losses by epoch, and its evaluation."""
        stages = zip(self.trained.stages, self.trained.losses, strict=True)
        return {
            "stages": [{**asdict(stage), "steps": stage.steps, "losses": losses.rows} for stage, losses in stages],
            "pairs": self.pairs.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class GuideReport:
    """The content of the report.

    Attributes:
        weights: source of the initial weights, and their SHA-256 or ''.
        warnings: one sentence per warning.
        result: the network of the guide.
        ablations: alternatively trained networks by the names of `ABLATIONS`.
        cost: cost of an embedding.
    """

    weights: tuple[str, str]
    warnings: list[str]
    result: EvaluatedNetwork
    ablations: dict[str, EvaluatedNetwork]
    cost: InferenceCost

    def write(self, folder: Path, guide: Guide, images: NDArray[np.uint8]) -> None:
        """Write `guide.json`, and a picture of images, uint8 [N, H, W, 3], with their Grad-CAM."""
        source, sha256 = self.weights
        record = {
            "weights": {"source": source, "sha256": sha256},
            "warnings": self.warnings,
            **self.result.to_json(),
            "ablations": {
                name: {"about": ABLATIONS[name], **network.to_json()} for name, network in self.ablations.items()
            },
            "inference": self.cost.model_dump(mode="json"),
            "pictures": [PICTURE_NAME],
        }
        write_sealed(folder / REPORT_NAME, record, REPORT_SCHEMA)
        gradcam_pictures(guide, images, folder / PICTURE_NAME)
