"""Parameters and summary of the step `train_generator`."""

from typing import Literal

from pydantic import Field

from histoforge.core.settings import Settings
from histoforge.generators.histogan.config import HistoganConfig


class TrainGeneratorConfig(HistoganConfig):
    """How a generator of patches is trained and its weights are chosen (Xue et al. 2021, sections 3.1 and 4.2)."""

    method: Literal["histogan"] = Field("histogan", description="the published way to generate")


class TrainGeneratorSummary(Settings):
    """What a training of a generator came to.

    Attributes:
        method: the published way to generate.
        stages: sizes of the images of its stages, height x width, px.
        patches: training patches.
        epochs, steps: how long it was trained.
        chosen_epoch: the epoch whose weights were kept.
        chosen_by: how: 'lowest smoothed FID', or 'last epoch' where no extractor was given.
        extractor: whose features the FID uses, or ''.
        fid, fid_smoothed: of the chosen epoch, or None.
        parameters: of the generator and of its critics together.
        precision, device: that it was trained at and on.
        seconds: time spent training.
        digest: the generator's identity.
    """

    method: str
    stages: list[str]
    patches: int
    epochs: int
    steps: int
    chosen_epoch: int
    chosen_by: str
    extractor: str
    fid: float | None
    fid_smoothed: float | None
    parameters: dict[str, int]
    precision: str
    device: str
    seconds: float
    digest: str
