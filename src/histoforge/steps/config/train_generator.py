"""Parameters and summary of the step `train_generator`."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, create_model, model_validator

from histoforge.core.settings import Settings
from histoforge.generators import methods
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.methods import merged_fields

_Merged: Any = create_model("_Merged", __base__=GeneratorConfig, **merged_fields())


class TrainGeneratorConfig(_Merged):
    """How a generator of patches is trained and its weights are chosen.

    It has the parameters of all methods. Where methods differ, None is the method's own default.
    """

    variant_by: ClassVar[str] = "method"

    method: Literal["histogan", "dcgan", "improved_dcgan", "sngan", "wgan_gp", "lsgan", "rleo", "ddpm"] = Field(
        "histogan", description="the published way to generate"
    )

    @model_validator(mode="after")
    def _has_only_what_its_method_has(self) -> Self:
        own_config(self)
        return self


def own_config(config: TrainGeneratorConfig) -> GeneratorConfig:
    """The settings of the method that is to be trained.

    Raises:
        SettingsError: a parameter that the method does not have, or a value out of its bounds.
    """
    return methods.own_config(config.method, config.model_dump(exclude={"method"}))


class ClassSummary(Settings):
    """What one training of the step came to.

    Attributes:
        patches: training patches.
        epochs, steps: how long it was trained.
        chosen_epoch: the epoch whose weights were kept.
        fid, fid_smoothed: of that epoch, or None.
        seconds: time spent training.
    """

    patches: int
    epochs: int
    steps: int
    chosen_epoch: int
    fid: float | None
    fid_smoothed: float | None
    seconds: float


class TrainGeneratorSummary(Settings):
    """What a training of a generator came to.

    Attributes:
        method: the published way to generate.
        stages: sizes of the images of its stages, height x width, px.
        patches: training patches.
        epochs, steps: how long it was trained; with a model a class, the most epochs and the steps of all.
        chosen_epoch: the epoch whose weights were kept; None where each class has its own.
        chosen_by: how: 'lowest smoothed FID', or 'last epoch' where no extractor was given.
        extractor: whose features the FID uses, or ''.
        fid, fid_smoothed: of the chosen epoch, or None.
        parameters: of the generator and of its critics together; with a model a class, of all of them.
        precision, device: that it was trained at and on.
        seconds: time spent training.
        by_class: each class's own training, where there is a model a class.
        digest: the generator's identity.
    """

    method: str
    stages: list[str]
    patches: int
    epochs: int
    steps: int
    chosen_epoch: int | None
    chosen_by: str
    extractor: str
    fid: float | None
    fid_smoothed: float | None
    parameters: dict[str, int]
    precision: str
    device: str
    seconds: float
    by_class: dict[str, ClassSummary] = Field(default_factory=dict)
    digest: str
