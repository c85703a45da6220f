"""Join generators that were trained side by side on one class each."""

from collections.abc import Sequence
from pathlib import Path

from histoforge.core.documents import known_shape
from histoforge.core.errors import ModelError
from histoforge.generators.joining import join
from histoforge.steps.config.join_generators import JoinGeneratorsConfig, JoinGeneratorsSummary


def run(config: JoinGeneratorsConfig, *, generators: Sequence[Path], generator: Path) -> JoinGeneratorsSummary:
    """Make one generator of several: what one training of all their classes would have given.

    Args:
        config: the settings, of which there are none.
        generators: of one method, one patch set and the same settings, one for each class; a single one of all
            classes is handed on as it is.
        generator: the model directory to write.

    Raises:
        ModelError: one is damaged, they do not belong together, or a class is there twice or not at all.
    """
    info = join(generators, generator)
    with known_shape(generators[0], ModelError, "train the generator again"):
        facts = {name: info.training[name] for name in ("patches", "steps", "seconds")}
        return JoinGeneratorsSummary(method=info.method, classes=info.classes, **facts, digest=info.digest)
