"""The section on what the synthetic patches are: tissue, told from real ones, of their class, and by which measures."""

from collections.abc import Sequence

from histoforge.evaluation.realism import ClassRealism, Realism
from histoforge.metrics.extractor_check import ExtractorCheck
from histoforge.reports.layout.blocks import Block, Cell, Section, Table, Text, cells
from histoforge.reports.text.formatting import MISSING, value_text
from histoforge.reports.text.realism import two_sample_text

CLASS_COLUMNS = ("Class", "Patches", "With tissue", "Unlike any real patch", "Median probability of the class")
CLASS_NOTE = (
    "Small: what real patches reach. With tissue: by the rule of preprocess, beside training patches. Unlike any real "
    "patch: pixel statistics (power spectrum, colours) farther from all training patches than 99% of held-out patches "
    "are."
)
CHECK_NOTE = (
    "FID of corrupted held-out patches against other held-out patches. It has to exceed the floor (the largest FID "
    "between random halves of real patches), to grow with the strength of the corruption, and to be largest for noise."
)


def realism_section(realism: Realism | None, checks: Sequence[ExtractorCheck]) -> Section:
    """Show the two-sample test, what the patches of each class are, and the check of the extractors."""
    blocks: list[Block] = []
    if realism is not None:
        blocks += [Text([two_sample_text(realism)]), _class_table(realism)]
    if checks:
        blocks.append(check_table(checks))
    lead = "Do the synthetic patches look like tissue of their class, and can the distances be trusted?"
    return Section("realism", "What the synthetic patches are", lead, blocks)


def check_table(checks: Sequence[ExtractorCheck]) -> Table:
    """Show the distances of corrupted real patches by each extractor, and what is wrong with them."""
    columns = ["Extractor", "Floor", *checks[0].distances, "Check"]
    rows = []
    for check in checks:
        verdict = Cell("passed") if check.passed else Cell("failed", "; ".join(check.failures), "bad")
        values = (f"{distance:.3g}" for distance in check.distances.values())
        rows.append(cells(check.extractor, f"{check.floor:.3g}", *values, verdict))
    return Table("Check of the extractors", columns, rows, CHECK_NOTE)


def _class_table(realism: Realism) -> Table:
    rows = [_class_row(each) for each in realism.classes]
    judge = ""
    if realism.judge:
        selected = "which also selected the patches" if realism.judge_selected else "which did not select the patches"
        judge = f" Probabilities are those of {realism.judge}, {selected}."
    return Table(f"The {realism.subset} synthetic patches", CLASS_COLUMNS, rows, CLASS_NOTE + judge)


def _class_row(each: ClassRealism) -> list[Cell]:
    return [
        Cell(each.name),
        Cell(f"{each.patches:,}"),
        Cell(f"{each.tissue:.1%}", f"real: {value_text(each.real_tissue, '.1%')}", "bad" if each.lacks_tissue else ""),
        Cell(value_text(each.outside, ".1%"), "real: 1%" if each.outside is not None else ""),
        Cell(
            value_text(each.probability, ".3g"),
            f"real: {value_text(each.real_probability, '.3g')}" if each.probability is not None else MISSING,
            "bad" if each.of_other_class else "",
        ),
    ]
