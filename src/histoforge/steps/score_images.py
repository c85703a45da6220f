"""Score synthetic large images against real ones: as a whole, and by tiles at full resolution (PathUp, section 4.4)."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoforge.core.digests import digest_file
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.files import atomic_directory
from histoforge.core.progress import say
from histoforge.core.seals import write_sealed
from histoforge.core.seeds import numpy_rng
from histoforge.core.text import counted, dimensions
from histoforge.evaluation import scoring
from histoforge.evaluation.image_scores import FILE_NAME, SCHEMA_VERSION, ImageDigests, ImageScores, ShownImage
from histoforge.evaluation.image_views import Borders, ViewFeatures, view_images
from histoforge.evaluation.level_scores import IMAGE, TILE, LevelScores, OverDraws, means_by_level
from histoforge.evaluation.level_scoring import Comparison, compared_images, held_out_images
from histoforge.metrics.inception import inception_extractors
from histoforge.metrics.results import finite
from histoforge.patches import PatchSet
from histoforge.patches.images import Pixels
from histoforge.patches.matching import check_same_format
from histoforge.patches.pictures import save_png
from histoforge.siamese.guide import load_guide
from histoforge.siamese.repeated_tissue import repeated_tissue
from histoforge.steps.score_images_config import ScoreImagesConfig, ScoreImagesSummary
from histoforge.training.device import resolve_device, resolve_precision

PICTURE_PX = 320
"""Side of a picture, px."""


@dataclass(frozen=True)
class Images:
    """The images that are compared.

    Attributes:
        drawn: all synthetic images.
        groups: the rows of each group of them, int64 [generations, n].
        real: as many real training images as a group has, or fewer.
        held_out: as many validation images; None without any.
    """

    drawn: PatchSet
    groups: NDArray[np.int64]
    real: PatchSet
    held_out: PatchSet | None


def run(
    config: ScoreImagesConfig, *, patches: Path, images: Path, extractor: Path, guide: Path | None = None, scores: Path
) -> ScoreImagesSummary:
    """Score synthetic large images against real training images; the test split is not read (A3-9).

    Whole images are shrunk to the patch size of the extractor, and tiles of that size are cut out of them at full
    resolution. The images of each class are divided into groups, which stand for the paper's individual generations.

    Args:
        config: the settings.
        patches: patch set of real large images.
        images: synthetic images of the same classes and size, from synthesise_images.
        extractor: a classifier trained on real patches, or its arm (then the one that chose nothing is used).
        guide: a guide trained on such patches, to search the images for repeated tissue.
        scores: directory to write: `image_scores.json`, and `pictures/` of some images.

    Raises:
        HistoforgeError: the inputs do not belong together, an image is smaller than a patch of the extractor, or there
            are no images of a class.
    """
    started = time.monotonic()
    device = resolve_device(config.device)
    real, drawn = PatchSet.open(patches), PatchSet.open(images)
    advice = "draw images of the classes and the size of the real ones"
    check_same_format(f"{images} has", drawn, "the patch set of real images", real, advice, PatchSetError)
    classifiers = scoring.open_classifiers(extractor, real.classes, None, device)
    judge = scoring.judge_of(classifiers)
    size = judge.info.patch_size
    if min(length - side for length, side in zip(real.patch_size, size, strict=True)) < 0:
        raise SettingsError(
            f"The images have {dimensions(real.patch_size)} px, fewer than the {dimensions(size)} px of the "
            "extractor's patches: give larger images, or an extractor of smaller patches."
        )
    loaded_guide = None
    if guide is not None:
        loaded_guide = load_guide(guide, device, resolve_precision(config.precision, device))
        loaded_guide.check_fits(real.classes, size, real.info.mpp, "the extractor")
    compared = _compared_images(real, drawn, config)
    inception = inception_extractors(config.inception_weights, config.inception_sha256, device)
    comparison = Comparison([judge, *inception], config.neighbours, config.batch_size, config.seed, device)
    made_by = drawn.info.made_by
    drawing = {**(made_by.get("config") or {}), "upscaled_by": str(made_by.get("upscaled_by", "images"))}
    result = ImageScores(
        name=config.name or drawing_name(drawing),
        drawing=drawing,
        classes=drawn.classes,
        image_size=drawn.patch_size,
        tile_size=size,
        images=dict(zip(drawn.classes, drawn.counts.tolist(), strict=True)),
        judge=judge.name,
        **_measure(compared, size, config.tiles, Borders(**made_by.get("borders", {})), comparison),
        repeated=None if loaded_guide is None else repeated_tissue(loaded_guide, drawn),
        real_repeated=None if loaded_guide is None else repeated_tissue(loaded_guide, compared.real),
        digests=ImageDigests(
            images=drawn.digest,
            patches=real.digest,
            generator=str(made_by.get("generator") or ""),
            extractor=judge.info.digest,
            guide="" if loaded_guide is None else loaded_guide.info.digest,
        ),
        warnings=_warnings(compared, config.generations),
    )
    _write(scores, result, compared, config.shown_images)
    say(f"score_images: {result.name}: {counted(len(drawn), 'images')} are scored")
    return _summary(result, time.monotonic() - started)


def drawing_name(settings: Mapping[str, Any]) -> str:
    """Return the name of images in tables, given the settings of synthesise_images and what enlarged the overviews."""
    name = str(settings["upscaled_by"])
    if name != "tracking":
        return name
    weights = {"paper": "", "none": " without weight map"}
    return name + weights.get(settings.get("weights", "paper"), f" with weight map '{settings.get('weights')}'")


def _compared_images(real: PatchSet, drawn: PatchSet, config: ScoreImagesConfig) -> Images:
    """Divide the synthetic images into groups with the same number of each class, and choose real images.

    Raises:
        PatchSetError: there are no synthetic images of a class.
    """
    fewest = int(drawn.counts.min())
    if not fewest:
        raise PatchSetError(
            f"There are no images of the class '{drawn.classes[int(drawn.counts.argmin())]}': draw some of each class."
        )
    generations = min(config.generations, fewest)
    by_class = [np.flatnonzero(drawn.labels == label) for label in range(len(drawn.classes))]
    each = [len(rows) // generations for rows in by_class]
    groups = np.concatenate(
        [rows[: generations * n].reshape(generations, n) for rows, n in zip(by_class, each, strict=True)], axis=1
    )
    count = groups.shape[1]
    return Images(
        drawn,
        groups,
        real=compared_images(real, config.seed, count),
        held_out=held_out_images(real, config.seed, count),
    )


def _measure(
    images: Images, size: tuple[int, int], tiles: int, borders: Borders, comparison: Comparison
) -> dict[str, Any]:
    """Return the fields of `ImageScores` with the metrics and the seams."""
    each = math.ceil(tiles / images.groups.shape[1])

    def view(patches: PatchSet, name: str) -> ViewFeatures:
        views = view_images(patches, size, each, borders, numpy_rng(comparison.seed, "tiles", name))
        return ViewFeatures.of(views, comparison)

    drawn, real = view(images.drawn, "synthetic"), view(images.real, "real")
    held_out = None if images.held_out is None else view(images.held_out, "held out")
    levels: list[LevelScores] = []
    for level, index in ((IMAGE, 0), (TILE, 1)):
        fake, *references = [
            (each.whole, each.tiles)[index] for each in (drawn, real, *([held_out] if held_out else []))
        ]
        draws = [
            comparison.compare(references[0], [features[drawn.rows_of(rows)[index]] for features in fake])
            for rows in images.groups
        ]
        levels += comparison.level_scores(level, draws, references[0], references[1] if held_out else [])
    return {
        "levels": levels,
        "seams": OverDraws.of([finite(drawn.seams[rows].mean()) for rows in images.groups]),
        "real_seams": finite(real.seams.mean()),
    }


def _warnings(images: Images, generations: int) -> list[str]:
    """Return the reasons to trust the scores less."""
    warnings, (groups, wanted) = [], images.groups.shape
    if groups < generations:
        warnings.append(
            f"There are {counted(groups, 'groups')} instead of {generations}, because a class has no more images: draw "
            "more images_per_class."
        )
    if len(images.real) < wanted:
        warnings.append(
            f"There are {counted(len(images.real), 'real training images')}, fewer than the {wanted:,} of a group."
        )
    unused = len(images.drawn) - images.groups.size
    if unused:
        warnings.append(f"{counted(unused, 'images')} are left out, because the groups have equal numbers of images.")
    return warnings


def _write(path: Path, scores: ImageScores, images: Images, shown: int) -> None:
    with atomic_directory(path) as folder:
        pictures = []
        for origin, patches in (("synthetic", images.drawn), ("real", images.real)):
            for label, class_name in enumerate(patches.classes):
                for number, row in enumerate(np.flatnonzero(patches.labels == label)[:shown]):
                    for view, picture in _pictures(patches.images(np.array([row]))[0]).items():
                        file = f"pictures/{origin}-{label}-{number}-{view}.png"
                        save_png(picture, folder / file)
                        pictures.append(
                            ShownImage(
                                file=file,
                                class_name=class_name,
                                synthetic=origin == "synthetic",
                                detail=view == "detail",
                                digest=digest_file(folder / file),
                            )
                        )
        written = scores.model_copy(update={"pictures": pictures})
        write_sealed(folder / FILE_NAME, written.model_dump(mode="json"), SCHEMA_VERSION)


def _pictures(pixels: Pixels) -> dict[str, Image.Image]:
    """Return an image, shrunk, and its centre at full resolution if that is less than the image."""
    whole = Image.fromarray(pixels)
    (width, height), side = whole.size, PICTURE_PX
    left, top = (width - side) // 2, (height - side) // 2
    detail = {"detail": whole.crop((left, top, left + side, top + side))} if min(width, height) > side else {}
    whole.thumbnail((side, side), Image.Resampling.LANCZOS)
    return {"whole": whole, **detail}


def _summary(scores: ImageScores, seconds: float) -> ScoreImagesSummary:
    return ScoreImagesSummary(
        name=scores.name,
        images=scores.images,
        judge=scores.judge,
        levels=means_by_level(scores.levels, scores.judge),
        seams=scores.seams.mean,
        real_seams=scores.real_seams,
        repeated=scores.repeated,
        real_repeated=scores.real_repeated,
        warnings=scores.warnings,
        seconds=round(seconds, 2),
    )
