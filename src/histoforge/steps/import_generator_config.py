"""Parameters and summary of the step `import_generator`."""

from typing import Self

from pydantic import Field, model_validator

from histoforge.core.settings import Settings
from histoforge.ingest.import_config import ImportConfig


class ImportGeneratorConfig(ImportConfig):
    """Settings for turning a generator that somebody else trained into one like any other."""

    source: str = Field(
        "",
        description="folder, or s3:// or minio:// prefix, of a saved diffusers pipeline, of one such folder per class, "
        "of the .safetensors file of an installed package's generator, or of a model directory, which is copied",
    )
    entry_point: str = Field(
        "", description="name of a generator in the group histoforge.generators of an installed package; '' for none"
    )
    steps: int = Field(
        50, ge=1, le=1000, description="sampling steps of a diffusers pipeline", json_schema_extra={"unit": "steps"}
    )
    guidance: float = Field(
        1.0, ge=1, le=20, description="guidance of a DiTPipeline towards the class; 1 for none, at half the cost"
    )
    device: str = Field("auto", description="'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'")

    @model_validator(mode="after")
    def _guidance_suits(self) -> Self:
        if self.guidance != 1 and self.entry_point:
            raise ValueError("guidance is a setting of diffusers pipelines: leave it out with entry_point")
        return self


class ImportGeneratorSummary(Settings):
    """The imported generator.

    Attributes:
        name: its name.
        kind: 'DiTPipeline', 'DDPMPipeline', 'DDIMPipeline', 'installed', or the method of a model directory.
        source: the location; '' for a package without weights.
        origin, licence: as stated; '' if they are not.
        classes: the generator's own class behind each of the real ones.
        image_size: height and width of its images, px.
        scale: pixels of a patch per pixel of an image.
        parameters: number of values in its weights.
        warnings: one sentence per warning.
        digest: the generator's identity.
        seconds: duration of the whole step.
    """

    name: str
    kind: str
    source: str
    origin: str
    licence: str
    classes: dict[str, str]
    image_size: tuple[int, int]
    scale: float
    parameters: int
    warnings: list[str]
    digest: str
    seconds: float
