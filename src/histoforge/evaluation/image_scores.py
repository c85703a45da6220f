"""`image_scores.json`: written by `score_images` for one set of large images, read by `evaluate`."""

from pathlib import Path
from typing import Any

from pydantic import Field

from histoforge.core.digests import digest_file
from histoforge.core.documents import read_model
from histoforge.core.errors import ModelError
from histoforge.core.seals import file_below, read_sealed
from histoforge.evaluation.level_scores import LevelScores, OverDraws
from histoforge.metrics.results import Result

SCHEMA_VERSION, ADVICE = 1, "run score_images again"
FILE_NAME = "image_scores.json"


class ShownImage(Result):
    """A picture of a large image.

    Attributes:
        file: its path below the folder.
        class_name: the class of the image.
        synthetic: False for a real training image.
        detail: True for the centre of the image at full resolution, False for the whole image, shrunk.
        digest: SHA-256 of the file.
    """

    file: str
    class_name: str
    synthetic: bool
    detail: bool
    digest: str


class ImageDigests(Result):
    """Digests of what the scores are based on; '' for a guide that was not given."""

    images: str
    patches: str
    generator: str
    extractor: str
    guide: str = ""


class ImageScores(Result):
    """All scores of one set of synthetic large images.

    Attributes:
        name: name of the set in tables, such as 'tracking'.
        drawing: the settings that the images were drawn with, and as `upscaled_by` what enlarged the overviews:
            'tracking', 'bicubic', or the method of a trained upscaler.
        image_size, tile_size: height and width of an image and of a tile, px.
        images: number of images by class.
        judge: the extractor that compares sets.
        levels: precision, recall, FID and KID of whole images ('image') and of tiles at full resolution ('tile') over
            independent groups of images, a row per level and extractor.
        seams: gradient energy across the borders of windows relative to that elsewhere, by group; 1 without seams, and
            no mean if the images record no borders.
        real_seams: the same across the same lines of real images.
        repeated: share of the patches of an image that its own patches resemble more than another image's do; None
            without a guide.
        real_repeated: the same of real images.
        pictures: some images.
        warnings: one sentence each.
        schema_version, digest: version of the file's schema, and SHA-256 over all of the above.
    """

    name: str
    drawing: dict[str, Any]
    classes: list[str]
    image_size: tuple[int, int]
    tile_size: tuple[int, int]
    images: dict[str, int]
    judge: str
    levels: list[LevelScores]
    seams: OverDraws
    real_seams: float | None
    repeated: float | None
    real_repeated: float | None
    digests: ImageDigests
    pictures: list[ShownImage] = Field(default_factory=list)
    warnings: list[str]
    schema_version: int = SCHEMA_VERSION
    digest: str = ""


def read_image_scores(path: Path) -> ImageScores:
    """Return the scores in a folder that `score_images` made.

    Raises:
        ModelError: they or their pictures are missing, damaged, or of a newer schema.
    """
    file = Path(path) / FILE_NAME
    if not file.is_file():
        raise ModelError(f"{path} holds no scores of images (it has no {FILE_NAME}): name a folder of score_images.")
    read_sealed(file, SCHEMA_VERSION, ADVICE)
    scores = read_model(ImageScores, file, ModelError, ADVICE)
    for picture in scores.pictures:
        picture_file = file_below(Path(path), picture.file)
        if picture_file is None or digest_file(picture_file) != picture.digest:
            raise ModelError(f"{Path(path) / picture.file} is missing or damaged: {ADVICE}.")
    return scores
