"""What `score_generator` writes of one generator, and `leaderboard` reads of many: `scores.json`."""

from pathlib import Path

from histoforge.core.documents import read_model
from histoforge.core.errors import ModelError
from histoforge.core.seals import read_sealed
from histoforge.metrics.diversity import Diversity
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.metrics.memorisation import MemorisationAudit
from histoforge.metrics.path_length import PathLengths
from histoforge.metrics.results import Result

SCHEMA_VERSION, ADVICE = 1, "score the generator again"
FILE_NAME = "scores.json"
FEATURES_NAME = "features.npz"


class LabelScores(Result):
    """Whether a classifier that was trained on real patches finds the class that a synthetic patch was drawn as.

    A0-12: Table IV of the RL-EO paper, whose precision, recall and F1 are equal, as micro averages always are: micro
    precision, recall and F1 are the accuracy. These are scores of labels and not of distributions; the improved
    precision and recall of `GenerativeMetrics` are.

    Attributes:
        classifier: its name.
        n: synthetic patches.
        micro: precision, recall and F1 in one.
        precision, recall, f1: macro means over the classes; None where one has no synthetic patch.
        classes: [name, patches, precision, recall, F1] of each class.
    """

    classifier: str
    n: int
    micro: float
    precision: float | None
    recall: float | None
    f1: float | None
    classes: list[tuple[str, int, float | None, float | None, float | None]]


class Drawing(Result):
    """What it took to draw the synthetic patches.

    Attributes:
        count: patches drawn.
        by_class: patches of each class, in their order.
        seconds_per_thousand: on `device`, from noise to uint8 in the host's memory.
        batch_size: patches drawn at once.
        peak_memory_mb: MB.
        memory_of: 'GPU', or 'process' (all that the process had ever held, other steps of it included).
        device, precision: that it was drawn with.
    """

    count: int
    by_class: dict[str, int]
    seconds_per_thousand: float
    batch_size: int
    peak_memory_mb: float
    memory_of: str
    device: str
    precision: str


class Digests(Result):
    """Identities of what the scores rest on; `weights` are the generator's, whatever settings it was trained with."""

    generator: str
    weights: str
    patches: str
    samples: str
    extractor: str


class GeneratorScores(Result):
    """All scores of one trained generator.

    Attributes:
        name: under which the leaderboard groups seeds, such as 'dcgan' or 'rleo:literal'.
        method, reward: of the generator; `reward` is '' for a method without one.
        seed: that the generator was trained with.
        judge: the extractor to believe: it chose nothing where there is such a one.
        independent: whether that is so. It need not be independent in any further sense: a second seed is the same
            network on the same patches.
        other_architecture: whether it is another network than the one that may have chosen the epoch.
        generative: against training patches, a row an extractor.
        held_out: the same of real validation patches against training patches: what real patches reach.
        labels: Table IV.
        paths: both path lengths; None where the method has no latent space to walk, with the reason in `paths_note`.
        diversity: signs of mode collapse.
        memorisation: the audit; None without validation patches.
        drawing: seconds and memory.
        training_seconds, training_steps, parameters: of the generator's training, as far as it says.
        warnings: a sentence each.
        schema_version: of the file.
        features: SHA-256 of the features beside the file; '' in files of earlier versions.
        digest: SHA-256 over all of the above; '' in files of earlier versions.
    """

    name: str
    method: str
    reward: str
    seed: int
    classes: list[str]
    patch_size: tuple[int, int]
    digests: Digests
    judge: str
    independent: bool
    generative: list[GenerativeMetrics]
    held_out: list[GenerativeMetrics]
    labels: LabelScores
    paths: PathLengths | None
    paths_note: str
    diversity: Diversity
    memorisation: MemorisationAudit | None
    drawing: Drawing
    training_seconds: float | None
    training_steps: int | None
    parameters: dict[str, int]
    warnings: list[str]
    other_architecture: bool = False
    schema_version: int = SCHEMA_VERSION
    features: str = ""
    digest: str = ""

    @property
    def judged(self) -> GenerativeMetrics:
        """The row of the extractor to believe."""
        return next(row for row in self.generative if row.extractor == self.judge)


def read_scores(path: Path) -> GeneratorScores:
    """The scores in a folder that `score_generator` made.

    Raises:
        ModelError: they are missing, damaged, or of a newer schema.
    """
    file = Path(path) / FILE_NAME
    if not file.is_file():
        raise ModelError(f"{path} holds no scores (it has no {FILE_NAME}): name a folder that score_generator made.")
    read_sealed(file, SCHEMA_VERSION, ADVICE)
    return read_model(GeneratorScores, file, ModelError, ADVICE)
