"""Parameters and summary of the step `select_samples`."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from histoforge.core.settings import FoldConfig, Settings
from histoforge.core.text import join_words, quoted
from histoforge.selection.rules import RULES

if TYPE_CHECKING:
    RuleName = str
else:
    RuleName = Literal[tuple(RULES)]
_WITH_THRESHOLD = join_words(quoted(rule.name for rule in RULES.values() if rule.has_threshold), "or")


class SelectSamplesConfig(FoldConfig):
    """Settings for drawing, scoring and keeping synthetic patches (Xue et al. 2021, section 3.2 and Algorithm 1)."""

    rule: RuleName = Field(
        "entropy_centroid",
        description="candidates to keep: " + "; ".join(f"'{rule.name}': {rule.description}" for rule in RULES.values()),
    )
    ratio: float = Field(0.5, gt=0, le=10, description="kept patches per real training patch (r)")
    pool_multiple: float = Field(
        0.0, ge=0, le=100, description="candidates per real training patch; 0 for 4 times ratio, as in Algorithm 1"
    )
    passes: int = Field(5, ge=1, le=1000, description="Monte Carlo dropout passes (K)")
    layers: Literal["stages", "blocks"] = Field(
        "stages", description="activations to compute distances from: those after each stage, or after each block"
    )
    entropy: Literal["mean_of_entropies", "entropy_of_mean"] = Field(
        "mean_of_entropies",
        description="entropy to rank by: the mean of the entropies of all passes, or the entropy of their mean "
        "prediction",
    )
    threshold: float = Field(
        0.6,
        ge=0,
        lt=1,
        description=f"rule {_WITH_THRESHOLD}: the probability of the assigned class must be above this",
    )
    batch_size: int = Field(
        128,
        ge=1,
        le=65536,
        description="candidates to draw and score at once",
        json_schema_extra={"unit": "patches"},
    )


class SelectSamplesSummary(Settings):
    """The drawn and kept patches.

    Attributes:
        rule: the selection rule.
        real, pool, kept: patches by class name: real training patches, candidates, and kept patches.
        entropy_pool, entropy_kept: mean entropy, nats.
        distance_pool, distance_kept: mean distance to the class centroid.
        confidence_pool, confidence_kept: mean probability of the class for which a patch was drawn.
        extractor: the scoring classifier, with its digest.
        generator: the generator's digest.
        seconds: duration of the whole step.
    """

    rule: str
    real: dict[str, int]
    pool: dict[str, int]
    kept: dict[str, int]
    entropy_pool: float
    entropy_kept: float
    distance_pool: float
    distance_kept: float
    confidence_pool: float
    confidence_kept: float
    extractor: str
    generator: str
    seconds: float
