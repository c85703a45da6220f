"""Parameters and summary of the step `cut_slides`."""

from pydantic import Field

from histoforge.core.settings import Settings
from histoforge.ingest.config import Failure
from histoforge.steps.preprocess_config import PreprocessConfig


class CutSlidesConfig(PreprocessConfig):
    """Settings for cutting some of the slides of a source; those of `preprocess`, which makes a patch set of them."""

    slides: list[str] = Field(
        default_factory=list,
        description="slides to cut, as paths below the source, or as scan_source lists them with their versions; none "
        "for all",
    )
    shard: str = Field("", description="name of these slides in logs, such as '2 of 5'")
    own_process: bool = Field(
        True,
        description="cut in a process of its own: a slide that ends it, by a crash or for its memory, is skipped, and "
        "not the end of the step",
    )
    reuse_only: bool = Field(
        False, description="cut nothing, and list the slides that slide_cache has: preprocess cuts the others"
    )


class CutSlidesSummary(Settings):
    """The result of `cut_slides`.

    Attributes:
        slides: slides that are cut; `preprocess` cuts the others, and tries those again that were skipped and did not
            end the process.
        reused: those of them that were in the cache.
        failed: slides that were skipped, with the reason.
        seconds: duration.
    """

    slides: int
    reused: int
    failed: list[Failure]
    seconds: float
