"""Parameters and summary of the step `leaderboard`."""

from pydantic import Field

from histoforge.core.settings import DeviceConfig, Settings


class LeaderboardConfig(DeviceConfig):
    """Settings of the comparison of generators (the RL-EO paper, section VI, and A0-10 to A0-13)."""

    heading: str = Field("", description="title of the page; '' asks about the classes")
    confidence: float = Field(0.95, ge=0.5, lt=1, description="coverage of the confidence intervals")
    resamples: int = Field(2000, ge=100, le=100_000, description="number of bootstrap resamples of test patients")
    batch_size: int = Field(
        128,
        ge=1,
        le=65536,
        description="number of test patches computed at once",
        json_schema_extra={"unit": "patches"},
    )
    map_patches: int = Field(
        200,
        ge=10,
        le=20_000,
        description="maximum number of patches per method, and of real patches, on the t-SNE map",
        json_schema_extra={"unit": "patches"},
    )


class LeaderboardSummary(Settings):
    """The results of the leaderboard.

    Attributes:
        headline: the first line of the page.
        answer: the lines below it.
        methods: names in ascending order of mean FID.
        seeds: the seeds of each method.
        means, deviations: mean and standard deviation of each number over seeds, by method and then by name; finite.
        test_patches: number of patches that classifiers were tested on.
        markdown: a short version of the page.
        warnings: one sentence per warning.
        seconds: duration of the whole step.
    """

    headline: str
    answer: list[str]
    methods: list[str]
    seeds: dict[str, int]
    means: dict[str, dict[str, float]]
    deviations: dict[str, dict[str, float]]
    test_patches: int
    markdown: str
    warnings: list[str]
    seconds: float
