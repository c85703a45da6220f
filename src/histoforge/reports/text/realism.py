"""Sentences on what the synthetic patches are, for the box of the headline and for the section on realism."""

from collections.abc import Sequence

from histoforge.core.text import counted, join_words
from histoforge.evaluation.findings import GenerativeRow
from histoforge.evaluation.realism import MOSTLY, ClassRealism, Realism
from histoforge.evaluation.synthetic import REAL, TRAIN
from histoforge.metrics.corruptions import BLURRED, SHUFFLED
from histoforge.metrics.two_sample import TwoSampleTest
from histoforge.reports.text.formatting import interval_text, value_text

HARDLY_ANY = 0.1
"""Share of patches with tissue below which there is no tissue, rather than little."""
AS_MUCH_AS_REAL = 0.9
"""Part of the precision of real patches from which on corrupted patches reach as much."""


def realism_caveats(realism: Realism | None) -> list[str]:
    """Return what a reader must know of the synthetic patches before trusting the headline."""
    if realism is None:
        return []
    return [*_tissue_caveat(realism), *_told_apart_caveat(realism), *class_caveats(realism)]


def generator_caveats(measured: Sequence[tuple[str, Realism]]) -> list[str]:
    """Name the generators whose patches show no tissue, are told from real ones, or are not of their class."""
    groups = {
        "Few or no patches show tissue": [
            f"{name} ({each.name})" for name, realism in measured for each in realism.classes if each.lacks_tissue
        ],
        "A small classifier tells patches from real ones almost perfectly": [
            name for name, realism in measured if realism.told_apart
        ],
        "Patches are not of their class, by a classifier of real ones": [
            f"{name} ({each.name})" for name, realism in measured for each in realism.classes if each.of_other_class
        ],
    }
    return [f"{text}: {join_words(list(dict.fromkeys(names)))}." for text, names in groups.items() if names]


def two_sample_text(realism: Realism) -> str:
    """Describe the two-sample test, and what it does not show."""
    test, real = realism.two_sample, realism.real_two_sample
    if test is None:
        return "There are too few patches or patients for a two-sample test."
    text = f"A small classifier tells {realism.subset} patches from held-out real ones with an AUC of {_auc(test)}"
    text += f" over {counted(test.patients, 'patients')}; 0.5 is chance."
    if real is not None:
        text += f" Training patches in place of the synthetic ones reach {_auc(real)}."
    return (
        f"{text} It sees {realism.features}, and was tested on patients that it was not trained on. It may notice as "
        "little as traces of JPEG compression; a better classifier may tell more apart; and copies of training "
        "patches pass this test."
    )


def precision_text(rows: Sequence[GenerativeRow]) -> str:
    """Put the precision of synthetic patches, by one extractor, beside that of real and of corrupted ones."""
    values = {row.subset: row.metrics.precision for row in rows if row.against == TRAIN}
    real, corrupted = values.get(REAL), [values.get(BLURRED), values.get(SHUFFLED)]
    if real is None or None in corrupted:
        return ""
    names = ("blurred copies of them", "copies with shuffled pixels")
    listed = [f"{value_text(value, '.2f')} for {name}" for name, value in zip(names, corrupted, strict=True)]
    text = f"Precision: {value_text(real, '.2f')} for held-out real patches, {join_words(listed)}."
    as_high = [
        name
        for name, value in zip(names, corrupted, strict=True)
        if value is not None and value >= AS_MUCH_AS_REAL * real
    ]
    if as_high:
        text += f" A high precision does not mean here that patches look real, because {join_words(as_high)} reach it."
    return text


def _tissue_caveat(realism: Realism) -> list[str]:
    lacking = [each for each in realism.classes if each.lacks_tissue]
    if not lacking:
        return []
    amount = "no" if max(each.tissue for each in lacking) < HARDLY_ANY else "little"
    synthetic = join_words([f"{each.tissue:.0%}" for each in lacking])
    real = join_words([value_text(each.real_tissue, ".0%") for each in lacking])
    return [
        f"The generator draws {amount} tissue of {_names(lacking)}: {synthetic} of the {realism.subset} patches show "
        f"tissue (training patches: {real})."
    ]


def _told_apart_caveat(realism: Realism) -> list[str]:
    outside, subset = realism.outside, realism.subset
    strange = outside is not None and outside >= MOSTLY
    colours = f"{value_text(outside, '.0%')} of {{}} have colours or textures that hardly any real patch has"
    if not realism.told_apart or realism.two_sample is None:
        return [colours.format(f"the {subset} synthetic patches") + "."] if strange else []
    real = realism.real_two_sample
    beside = f"; training patches in their place: {real.auc:.2f}" if real else ""
    return [
        f"A small classifier tells the {subset} synthetic patches from real ones almost perfectly (AUC "
        f"{realism.two_sample.auc:.2f}{beside})"
        + (f": {colours.format('them')}." if strange else ", possibly by traces that no eye notices.")
    ]


def class_caveats(realism: Realism) -> list[str]:
    """Name the classes whose patches are not of their class."""
    wrong = [each for each in realism.classes if each.of_other_class]
    if not wrong:
        return []
    judge = (
        "even the classifier that selected them" if realism.judge_selected else "a classifier that did not select them"
    )
    values = join_words([value_text(each.probability, ".2g") for each in wrong])
    real = join_words([value_text(each.real_probability, ".2g") for each in wrong])
    return [
        f"{realism.subset.capitalize()} patches of {_names(wrong)} are not of their class: by {judge}, its "
        f"median probability is {values} (held-out real patches: {real})."
    ]


def _names(classes: Sequence[ClassRealism]) -> str:
    return join_words([f"'{each.name}'" for each in classes])


def _auc(test: TwoSampleTest) -> str:
    interval = interval_text(test.low, test.high, ".2f")
    return f"{test.auc:.2f}" + (f" (95% interval {interval.strip('[]').replace(', ', ' to ')})" if interval else "")
