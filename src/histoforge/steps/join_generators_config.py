"""Settings and summary of the step `join_generators`."""

from histoforge.core.settings import Settings, StepConfig


class JoinGeneratorsConfig(StepConfig):
    """The settings that every step has; joining needs no others."""


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
