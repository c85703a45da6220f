"""`scores.json`: written by `score_generator` for one generator, read by `leaderboard` for many."""

from pathlib import Path
from typing import Any

from pydantic import Field

from histoforge.core.documents import read_model
from histoforge.core.errors import ModelError
from histoforge.core.seals import read_sealed
from histoforge.evaluation.level_scores import LevelScores
from histoforge.evaluation.realism import Realism
from histoforge.metrics.diversity import Diversity
from histoforge.metrics.extractor_check import ExtractorCheck
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.metrics.memorisation import MemorisationAudit
from histoforge.metrics.path_length import PathLengths
from histoforge.metrics.results import Result
from histoforge.metrics.table import Metric

SCHEMA_VERSION, ADVICE = 2, "score the generator again"
FILE_NAME = "scores.json"
FEATURES_NAME = "features.npz"


class LabelScores(Result):
    """Agreement of a classifier trained on real patches with the class that each synthetic patch was drawn as.

    A0-12: Table IV of the RL-EO paper, whose precision, recall and F1 are equal, as micro averages always are: they all
    equal the accuracy. These scores measure labels, not distributions, unlike the improved precision and recall of
    `GenerativeMetrics`.

    Attributes:
        classifier: name of the classifier.
        n: number of synthetic patches.
        micro: micro precision, recall and F1, which are the same number.
        precision, recall, f1: macro means over the classes; None if a class has no synthetic patch.
        classes: [name, patches, precision, recall, F1] for each class.
    """

    classifier: str
    n: int
    micro: float
    precision: float | None
    recall: float | None
    f1: float | None
    classes: list[tuple[str, int, float | None, float | None, float | None]]


class Drawing(Result):
    """The synthetic patches that were scored, and the cost of drawing them, which a fixed set of patches has not.

    Attributes:
        count: patches drawn.
        by_class: patches of each class, in the order of the classes.
        seconds_per_thousand: time on `device`, from noise to uint8 in the host's memory.
        batch_size: patches drawn at once.
        peak_memory_mb: MB.
        memory_of: 'GPU', or 'process' (the peak of the whole process, including its other steps).
        device, precision: those used for drawing.
    """

    count: int
    by_class: dict[str, int]
    seconds_per_thousand: float | None = None
    batch_size: int | None = None
    peak_memory_mb: float | None = None
    memory_of: str = ""
    device: str = ""
    precision: str = ""


class Digests(Result):
    """Digests of what the scores are based on; `weights` covers the generator's weights only, not its settings."""

    generator: str
    weights: str
    patches: str
    samples: str
    extractor: str


class GeneratorScores(Result):
    """All scores of one generator, or of a fixed set of synthetic patches in its place.

    Attributes:
        name: name by which the leaderboard groups seeds, such as 'dcgan' or 'rleo:literal'.
        method, reward: those of the generator; `reward` is '' for a method without one.
        seed: seed that the generator was trained with; 0 for what somebody else made.
        judge: the extractor that compares methods: one that chose nothing, if there is one.
        independent: True if the judge chose nothing. It need not be independent in any further sense: a second seed is
            the same network on the same patches.
        other_architecture: True if its architecture differs from that of the network that may have chosen the epoch.
        generative: synthetic against training patches, one row per extractor.
        held_out: the same for real validation patches against training patches, which shows what real patches reach.
        references: the same for blurred and for shuffled copies of validation patches, which shows what an extractor
            takes for real. Empty in files of version 1, as are the next two.
        extractor_checks: whether each extractor ranks corrupted validation patches sanely.
        realism: whether a small classifier tells the patches from real ones, whether they show tissue, and whether they
            are of their class; None without validation patches.
        labels: Table IV.
        paths: both path lengths; None if the method has no latent space to walk, with the reason in `paths_note`.
        diversity: signs of mode collapse.
        block_edges: gradient energy at the borders of blocks, divided by that elsewhere; None in files of earlier
            versions.
        levels: precision, recall, FID and KID over independent draws at each spatial level, a row per level and
            extractor; empty in files of earlier versions.
        origin: for a generator or a set of patches that somebody else made: `name`, `origin`, `licence` and `source` as
            they were stated; empty for others.
        figures: what else the generator's training measured, by name, such as the leak probe of 'pathup'.
        memorisation: the memorisation audit; None without validation patches.
        drawing: time and memory taken to draw the patches.
        training_seconds, training_steps, parameters: of the generator's training, as far as its record states them.
        warnings: one sentence each.
        schema_version: version of the file's schema.
        features: SHA-256 of the features next to the file; '' in files of earlier versions.
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
    block_edges: float | None = None
    references: dict[str, list[GenerativeMetrics]] = Field(default_factory=dict)
    extractor_checks: list[ExtractorCheck] = Field(default_factory=list)
    realism: Realism | None = None
    levels: list[LevelScores] = Field(default_factory=list)
    origin: dict[str, str] = Field(default_factory=dict)
    figures: dict[str, float] = Field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    features: str = ""
    digest: str = ""

    def value(self, metric: Metric) -> float | None:
        """Return the unscaled value of a metric; None if it was not computed, or needs trained classifiers."""
        value: Any = self
        for name in (metric.source or f"judge_metrics.{metric.name}").split("."):
            value = getattr(value, name, None)
        return value

    @property
    def judge_metrics(self) -> GenerativeMetrics:
        """The metrics in the features of the judge."""
        return next(row for row in self.generative if row.extractor == self.judge)


def read_scores(path: Path) -> GeneratorScores:
    """Return the scores in a folder that `score_generator` made.

    Raises:
        ModelError: they are missing, damaged, or of a newer schema.
    """
    file = Path(path) / FILE_NAME
    if not file.is_file():
        raise ModelError(f"{path} holds no scores (it has no {FILE_NAME}): name a folder that score_generator made.")
    read_sealed(file, SCHEMA_VERSION, ADVICE)
    return read_model(GeneratorScores, file, ModelError, ADVICE)
