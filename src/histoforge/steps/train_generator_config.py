"""Parameters and summary of the step `train_generator`."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, create_model, model_validator

from histoforge.core.settings import Settings
from histoforge.generators import methods
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.methods import METHODS, merged_fields

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]

_Merged: Any = create_model("_Merged", __base__=GeneratorConfig, **merged_fields())


class TrainGeneratorConfig(_Merged):
    """Settings of the training of a generator of patches, and of the choice of its weights.

    It has the parameters of all methods. If methods differ in a default, None stands for the method's own.
    """

    variant_by: ClassVar[str] = "method"

    method: MethodName = Field("histogan", description="the published way to generate")

    @model_validator(mode="before")
    @classmethod
    def _resolve_reward(cls, values: Any) -> Any:
        """Pass `reward` on to the parameter by which its method names variants.

        The component's input for the variant of any method is called `reward`, after the first method with variants.
        """
        method = METHODS.get(str(values.get("method"))) if isinstance(values, dict) else None
        if method is None or method.variant_parameter in ("", "reward") or not values.get("reward"):
            return values
        return {name: value for name, value in values.items() if name != "reward"} | {
            method.variant_parameter: values["reward"]
        }

    @model_validator(mode="after")
    def _has_only_parameters_of_its_method(self) -> Self:
        method_config(self)
        return self


def method_config(config: TrainGeneratorConfig) -> GeneratorConfig:
    """Return the settings of the method to train.

    Raises:
        SettingsError: if the method lacks a parameter, or a value is out of its bounds.
    """
    return methods.method_config(config.method, config.model_dump(exclude={"method"}))


class ClassSummary(Settings):
    """The result of one training of the step.

    Attributes:
        patches: training patches.
        epochs, steps: length of the training.
        chosen_epoch: the epoch with the selected weights.
        fid, fid_smoothed: FID of that epoch, or None.
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
    """The result of training a generator.

    Attributes:
        method: the published way to generate.
        stages: sizes of the images of its stages, height x width, px.
        patches: training patches.
        epochs, steps: length of the training; with one model per class, the largest number of epochs and the sum of
            steps.
        chosen_epoch: the epoch with the selected weights; None if each class has its own.
        chosen_by: the criterion: 'lowest smoothed FID', or 'last epoch' if no extractor was given; methods that also
            train a classifier have others.
        choice_note: why pixel statistics chose the epoch by their FID; '' if they did not.
        extractor: the extractor whose features the FID uses, or ''.
        fid, fid_smoothed: FID of the chosen epoch, or None.
        parameters: number in the generator and its critics together; with one model per class, in all of them.
        precision, device: numerical precision and device of the training.
        seconds: time spent training.
        figures: what else the method measured, by name; for 'pathup' how well the U-Net's feature tells the class.
        by_class: the training of each class, if there is one model per class.
        warnings: one sentence each.
        digest: the generator's identity.
    """

    method: str
    stages: list[str]
    patches: int
    epochs: int
    steps: int
    chosen_epoch: int | None
    chosen_by: str
    choice_note: str
    extractor: str
    fid: float | None
    fid_smoothed: float | None
    parameters: dict[str, int]
    precision: str
    device: str
    seconds: float
    figures: dict[str, float] = Field(default_factory=dict)
    by_class: dict[str, ClassSummary] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    digest: str
