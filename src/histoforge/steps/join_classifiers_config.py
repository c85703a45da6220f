"""Settings and summary of the step `join_classifiers`."""

from pydantic import Field

from histoforge.core.settings import Settings, StepConfig


class JoinClassifiersConfig(StepConfig):
    """The name of the arm."""

    arm: str = Field("", description="name of the arm in the report ('': the method's name, such as vitgan)")


class JoinClassifiersSummary(Settings):
    """The arm.

    Attributes:
        arm: its name.
        seeds: the seeds of its classifiers.
        val_accuracy: mean accuracy on the validation split.
        seconds: total time of the trainings, which also made the generators.
    """

    arm: str
    seeds: list[int]
    val_accuracy: float
    seconds: float
