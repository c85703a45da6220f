"""Scores of the generators of patches and overviews, and of large images, that an evaluation was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from histoforge.autoencoder.reconstruction import ReconstructionError
from histoforge.core.errors import ModelError, SettingsError
from histoforge.evaluation.generator_scores import GeneratorScores, read_scores
from histoforge.evaluation.image_scores import ImageScores, read_image_scores
from histoforge.training.model_files import read_model_info


@dataclass(frozen=True)
class LargePicture:
    """A picture of a large image.

    Attributes:
        path: its file.
        class_name: the class of the image.
        of: the name of its set, or 'real'.
        detail: True for the centre of the image at full resolution, False for the whole image, shrunk.
    """

    path: Path
    class_name: str
    of: str
    detail: bool = False


@dataclass(frozen=True)
class LargeImageFindings:
    """Scores of generators at their spatial levels and of large images, made by earlier steps.

    Attributes:
        generators: the scores of each generator.
        images: the scores of each set of large images.
        pictures: some real large images, and some of each set.
        reconstruction: the error of the autoencoder on validation images by level, the floor under all distances.
        restored: picture of originals above their reconstructions by level.
    """

    generators: Sequence[GeneratorScores] = ()
    images: Sequence[ImageScores] = ()
    pictures: Sequence[LargePicture] = ()
    reconstruction: Mapping[str, ReconstructionError] = field(default_factory=dict)
    restored: Mapping[str, Path] = field(default_factory=dict)


def open_large_images(
    generator_scores: Sequence[Path], image_scores: Sequence[Path], autoencoder: Path | None, classes: Sequence[str]
) -> LargeImageFindings | None:
    """Read the scores and the autoencoder's error; None if nothing was given.

    Raises:
        ModelError: something is damaged, is of other classes, or was scored by another extractor than the rest.
        SettingsError: two sets of scores have the same name.
    """
    if not generator_scores and not image_scores and autoencoder is None:
        return None
    generators = [read_scores(path) for path in generator_scores]
    images = [read_image_scores(path) for path in image_scores]
    _check_names([f"{row.name}, seed {row.seed}, {level_names(row)}" for row in generators], "generators")
    _check_names([row.name for row in images], "sets of images")
    every: list[GeneratorScores | ImageScores] = [*generators, *images]
    paths = [*generator_scores, *image_scores]
    for path, scores in zip(paths, every, strict=True):
        _check_comparable(path, scores, paths[0], every[0], classes)
    findings = LargeImageFindings(generators, images, _pictures(image_scores, images))
    return findings if autoencoder is None else replace(findings, **_reconstructions(Path(autoencoder)))


def level_names(scores: GeneratorScores) -> str:
    """Return the levels that a generator was scored at, as text."""
    return " and ".join(dict.fromkeys(row.level for row in scores.levels))


def _check_names(names: Sequence[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"Two {what} are called '{name}': score one of them again under another name.")


def _check_comparable(
    path: Path,
    scores: GeneratorScores | ImageScores,
    first_path: Path,
    first: GeneratorScores | ImageScores,
    classes: Sequence[str],
) -> None:
    if list(scores.classes) != list(classes):
        raise ModelError(
            f"The scores {path} are of the classes {', '.join(scores.classes)}, and the patch set has "
            f"{', '.join(classes)}: score generators of that patch set."
        )
    if scores.judge != first.judge:
        raise ModelError(
            f"The scores {path} were made with the extractor {scores.judge}, and {first_path} with {first.judge}: make "
            "both with one extractor."
        )


def _pictures(paths: Sequence[Path], images: Sequence[ImageScores]) -> list[LargePicture]:
    """Return the pictures of all sets, and the real ones of the first."""
    pictures = []
    for index, (path, scores) in enumerate(zip(paths, images, strict=True)):
        for shown in scores.pictures:
            if shown.synthetic or index == 0:
                name = scores.name if shown.synthetic else "real"
                pictures.append(LargePicture(Path(path) / shown.file, shown.class_name, name, shown.detail))
    return pictures


def _reconstructions(autoencoder: Path) -> dict[str, Any]:
    """Return the recorded error by level, and the pictures of originals above their reconstructions."""
    recorded = read_model_info(autoencoder, "autoencoder").training.get("reconstruction") or {}
    files = {level: autoencoder / "pictures" / f"{level}.png" for level in recorded}
    return {
        "reconstruction": {level: ReconstructionError.make(values) for level, values in recorded.items()},
        "restored": {level: file for level, file in files.items() if file.is_file()},
    }
