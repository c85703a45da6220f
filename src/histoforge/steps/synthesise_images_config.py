"""Parameters and summary of the step `synthesise_images`."""

from typing import Self

from pydantic import Field, model_validator

from histoforge.core.settings import DeviceConfig, Settings
from histoforge.generators.pathup.tracking_config import TrackingConfig


class SynthesiseImagesConfig(TrackingConfig, DeviceConfig):
    """Settings of drawing large images of each class from a generator of patches and overviews."""

    size: str = Field(
        "2048",
        pattern=r"^\d{1,4}(x\d{1,4})?$",
        description="size of an image: '2048', or height and width such as '2048x1024'; at least that of a patch",
        json_schema_extra={"unit": "px"},
    )
    images_per_class: int = Field(
        10, ge=1, le=100_000, description="images to draw of each class", json_schema_extra={"unit": "images"}
    )
    guidance: float = Field(
        0.0,
        ge=0,
        le=50,
        description="scale of classifier-free guidance, from 1 (the conditional model itself); 0 for the generator's",
    )
    write_slides: bool = Field(
        False, description="whether each image is also written as a slide, a pyramidal TIFF with a slides.csv"
    )
    checkpoints: str = Field(
        "",
        description="location to copy finished images to, from which a retry on another machine resumes ('': none)",
    )

    @model_validator(mode="after")
    def _guidance_is_a_scale(self) -> Self:
        if 0 < self.guidance < 1:
            raise ValueError(f"guidance={self.guidance:g} must be at least 1, or 0 for the generator's")
        return self

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image, px."""
        height, _, width = self.size.partition("x")
        return int(height), int(width or height)


class SynthesiseImagesSummary(Settings):
    """The images that were drawn.

    Attributes:
        generator: the generator's digest.
        upscaler: the upscaler's digest, or ''.
        images: number of images by class.
        size: their size, height x width, px.
        windows: windows of an image that are denoised or enlarged in each step; without moving windows.
        steps: steps that each window was denoised for; 0 for 'bicubic', 1 for an upscaler that does not denoise.
        seams: gradient energy across the borders of windows relative to that elsewhere, the mean over images; 1 without
            seams, and None if there is only one window.
        repeated: share of the patches of an image that its own patches resemble more than another image's do; None
            without a guide, or with fewer than two images of each class.
        resumed: images that an earlier, interrupted run had finished.
        windows_per_second: windows denoised per second of drawing.
        seconds: duration of the whole step.
    """

    generator: str
    upscaler: str
    images: dict[str, int]
    size: str
    windows: int
    steps: int
    seams: float | None
    repeated: float | None
    resumed: int
    windows_per_second: float
    seconds: float
