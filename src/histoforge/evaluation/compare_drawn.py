"""The comparison of all synthetic patches of an evaluation with real ones, and its warnings."""

from collections.abc import Mapping, Sequence

from histoforge.evaluation.codecs import codec_warnings
from histoforge.evaluation.drawn_sets import DrawnSet
from histoforge.evaluation.findings import GeneratorRow, SyntheticFindings
from histoforge.evaluation.generator_rows import copy_warnings, distance_warnings, generator_rows
from histoforge.evaluation.inputs import training_patches
from histoforge.evaluation.patch_features import ComparisonSettings
from histoforge.evaluation.spaces import check_warnings, selection_warnings
from histoforge.evaluation.synthetic import compare_synthetic
from histoforge.metrics.extract import Extractor
from histoforge.patches import PatchSet


def compare_drawn(
    drawn: Sequence[DrawnSet],
    whole: PatchSet,
    real: PatchSet,
    extractors: Mapping[int, Sequence[Extractor]],
    published: Sequence[Extractor],
    settings: ComparisonSettings,
) -> tuple[SyntheticFindings, list[GeneratorRow], list[str]]:
    """Compare the first set of synthetic patches in detail, and all of them side by side.

    Args:
        drawn: the generators and their patches.
        whole: the real patch set.
        real: its first fold.
        extractors: classifiers by fold.
        published: extractors with published weights.
        settings: the settings of the comparison.

    Returns:
        The findings about the first set, which are empty if there are no synthetic patches; a row per generator; and
        warnings, one sentence each.
    """
    train, classifiers = training_patches(real), extractors[real.fold]
    first, warnings = SyntheticFindings(), []
    if drawn and drawn[0].sets is not None:
        warnings += _warnings(train, classifiers)
        first = compare_synthetic(drawn[0].sets, train, real.split("test"), [*classifiers, *published], settings)
    for each in drawn:
        warnings += codec_warnings(real, each.sets.patches) if each.sets is not None else []
    generators = generator_rows(drawn, first, whole, extractors, published, settings)
    warnings += [*check_warnings(first.checks), *selection_warnings(first.generative)]
    warnings += [*copy_warnings(generators), *distance_warnings(generators)]
    return first, generators, warnings


def _warnings(train: PatchSet, classifiers: Sequence[Extractor]) -> list[str]:
    warnings = []
    if len(classifiers) < 2:
        warnings.append(
            "The baseline has no second seed and no judge of another architecture: the classifier that selected "
            "patches also scores them, so their scores are too good."
        )
    if not len(train):
        warnings.append(
            "The patch set has no training patches: synthetic patches are not compared with training patches, and "
            "there is no memorisation audit and no map."
        )
    return warnings
