"""Join generators that were each trained on one class."""

from collections.abc import Sequence
from pathlib import Path

from histoforge.core.documents import known_shape
from histoforge.core.errors import ModelError
from histoforge.generators.joining import join
from histoforge.steps.join_generators_config import JoinGeneratorsConfig, JoinGeneratorsSummary


def run(config: JoinGeneratorsConfig, *, generators: Sequence[Path], generator: Path) -> JoinGeneratorsSummary:
    """Combine several generators into one, equal to the result of one training of all their classes.

    Args:
        config: empty; the step has no settings.
        generators: one for each class, all of the same method, patch set and settings; a single generator of all
            classes is passed on unchanged.
        generator: the model directory to write.

    Raises:
        ModelError: if one is damaged, they do not belong together, or a class occurs twice or not at all.
    """
    info = join(generators, generator)
    with known_shape(generators[0], ModelError, "train the generator again"):
        totals = {name: info.training[name] for name in ("patches", "steps", "seconds")}
        return JoinGeneratorsSummary(method=info.method, classes=info.classes, **totals, digest=info.digest)
