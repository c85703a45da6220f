"""Summary of the step `join_generators`, which has no parameters of its own."""

from histoforge.core.settings import Settings, StepConfig


class JoinGeneratorsConfig(StepConfig):
    """No settings, because joining needs none."""


class JoinGeneratorsSummary(Settings):
    """The joined generator.

    Attributes:
        method: the published way to generate.
        classes: the classes that the generator draws.
        patches, steps, seconds: totals over all trainings.
        digest: the generator's identity.
    """

    method: str
    classes: list[str]
    patches: int
    steps: int
    seconds: float
    digest: str
