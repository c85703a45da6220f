"""The sections of a study on the results of the arms on the test split."""

from collections.abc import Sequence

import numpy as np

from histoforge.core.text import counted
from histoforge.evaluation.learning import learning_score
from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, Score, StudyFindings
from histoforge.metrics.compare import p_text
from histoforge.reports.layout.blocks import Block, Cell, Figures, Matrices, Section, Table, cells
from histoforge.reports.plots.factors import fraction_figure, ratio_figure
from histoforge.reports.plots.probabilities import calibration_figure, leading, roc_figure
from histoforge.reports.plots.rows import differences_figure, scores_figure
from histoforge.reports.text.comparison_table import (
    COLUMNS,
    NOTE,
    comparison_caption,
    comparison_rows,
    shown_scores,
)
from histoforge.reports.text.formatting import (
    UNDEFINED,
    interval_text,
    mean_text,
    p_value,
    reference_title,
    score_text,
    value_text,
)
from histoforge.reports.text.learning import kept_epochs
from histoforge.reports.text.study_verdicts import verdict_of

MAX_PATIENTS = 60
MAX_MATRICES = 8
CLASS_SCORES = ("sensitivity", "specificity", "precision", "f1", "auc")
FURTHER_SCORES = ("balanced_accuracy", "f1", "brier", "calibration_error")


def arms_section(study: StudyFindings) -> Section:
    """Compare the arms in the scores of the paper's tables."""
    table = Table(
        caption="Classification of the test split: mean ± standard deviation over seeds",
        columns=["Arm", "Training patches", *(SCORE_NAMES[score] for score in shown_scores(study))],
        rows=[*(_arm_row(study, arm) for arm in study.arms), *_constant_row(study)],
        note=f"In square brackets: {study.confidence:.0%} interval over test {study.units} and training runs. "
        f"Difference: from {reference_title(study)}, with its interval and p-value, after Holm's correction over all "
        f"comparisons. Learned: the arm is above a classifier that always gives the same answer (one-sided test over "
        f"{study.units} and training runs). Sensitivity and specificity: {study.arms[0].runs[0].averaging}.",
        stacked=True,
        marked=next(index for index, arm in enumerate(study.arms) if arm.name == study.reference),
    )
    figures = [scores_figure(study), differences_figure(study)]
    comparisons = comparison_rows(study)
    compared = Table(
        caption=comparison_caption(study),
        columns=COLUMNS,
        rows=[cells(*row) for row in comparisons],
        note=NOTE,
        stacked=True,
    )
    blocks: list[Block] = [
        table,
        Figures([figure for figure in figures if figure is not None]),
        *([compared] if comparisons else []),
    ]
    return Section("study", "The arms compared", "Which way of training classifies the test split best?", blocks)


def _arm_row(study: StudyFindings, arm: ArmFindings) -> list[Cell]:
    real, synthetic = sum(arm.counts.get("train", {}).values()), arm.synthetic
    added = f"+ {synthetic:,} synthetic" if synthetic else f"+ {arm.control:,} held-back real" if arm.control else ""
    patches = Cell(f"{real:,} real" if real else "", added)
    learned = {True: "learned", False: "not shown to have learned", None: ""}[study.learned(arm.name)]
    above = arm.above_constant.get(learning_score(study.score))
    if learned and above is not None and above.p_above is not None:
        learned += f" ({p_text(above.p_above)})"
    epochs = f"epochs kept: {kept}" if (kept := kept_epochs(arm)) else ""
    title = Cell(arm.title, "\n".join(filter(None, [learned, epochs])))
    return [title, patches, *(_score_cell(study, arm, score) for score in shown_scores(study))]


def _constant_row(study: StudyFindings) -> list[list[Cell]]:
    """Return the scores of a classifier that always gives the same answer."""
    if study.constant is None:
        return []
    scores = (value_text(study.constant.scores.get(score), missing="") for score in shown_scores(study))
    return [cells(f"always '{study.constant.class_name}'", "", *scores)]


def _score_cell(study: StudyFindings, arm: ArmFindings, name: str) -> Cell:
    score, difference = arm.scores[name], study.difference(arm.name, name)
    lines = [interval_text(score.low, score.high)]
    tone = ""
    effect = difference.overall if difference else None
    if difference is not None and effect is not None and effect.difference is not None:
        interval = interval_text(effect.low, effect.high, "+.3f")
        lines += [f"difference {effect.difference:+.3f}", interval, p_value(effect)]
        tone = {"better": "good", "worse": "bad"}.get(verdict_of(study, difference), "")
    return Cell(score_text(score), "\n".join(line for line in lines if line), tone)


def factors_section(study: StudyFindings) -> Section:
    """Plot the score by what was varied between the arms."""
    figures = [figure for figure in (ratio_figure(study), fraction_figure(study)) if figure is not None]
    lead = "How does the score depend on the ratio, the pool, or the fraction of training patches?"
    return Section("factors", "Ratios, pools and fractions", lead, [Figures(figures)] if figures else [])


def classes_section(study: StudyFindings, classes: Sequence[str], published: Sequence[Table] = ()) -> Section:
    """Show confusion matrices, scores by class, beside those of the table that a paper published, and ROC curves."""
    arms = leading(study, MAX_MATRICES)
    blocks: list[Block] = [
        Matrices(
            [_confusion_table(arm, classes) for arm in arms],
            note="Rows: true class; columns: predicted class. Numbers of test patches, averaged over seeds, and their "
            "share of the row (shaded).",
        ),
        Table(
            caption="Scores by class: mean ± standard deviation over seeds",
            columns=["Arm and class", "Test patches", *(SCORE_NAMES[score] for score in CLASS_SCORES)],
            rows=[_class_row(arm, index) for arm in arms for index in range(len(classes))],
            note="Each class against all others.",
        ),
        *_f1_table(study, classes),
        *published,
    ]
    if (roc := roc_figure(study, classes)) is not None:
        blocks.append(Figures([roc]))
    return Section("classes", "Errors by class", "Which classes are confused with each other?", blocks)


def _confusion_table(arm: ArmFindings, classes: Sequence[str]) -> Table:
    means = arm.mean_confusion
    totals = means.sum(1, keepdims=True)
    shares = np.divide(means, totals, out=np.zeros_like(means), where=totals > 0)
    rows = [
        [
            Cell(name),
            *(
                Cell(f"{count:,.1f}".removesuffix(".0"), f"{share:.0%}", share=float(share))
                for count, share in zip(counts, row_shares, strict=True)
            ),
        ]
        for name, counts, row_shares in zip(classes, means, shares, strict=True)
    ]
    return Table(caption=arm.title, columns=["True", *classes], rows=rows)


def _class_row(arm: ArmFindings, index: int) -> list[Cell]:
    runs = [run.classes[index] for run in arm.runs]
    scores = [_mean_over_seeds([getattr(run, name) for run in runs]) for name in CLASS_SCORES]
    return cells(f"{arm.title}: {runs[0].name}", f"{runs[0].n:,}", *scores)


def _f1_table(study: StudyFindings, classes: Sequence[str]) -> list[Table]:
    """Return the F1 of each class and their mean, with intervals, one arm per row; empty for earlier results."""
    rows = [
        [_with_backbone(study, arm), *(_with_interval(score) for score in (*arm.class_f1.values(), arm.macro_f1))]
        for arm in study.arms
        if arm.macro_f1 is not None
    ]
    table = Table(
        caption="F1 by class: mean ± standard deviation over seeds",
        columns=["Arm", *classes, "Mean over the classes"],
        rows=rows,
        note=f"In square brackets: {study.confidence:.0%} interval over test {study.units} and training runs. Each "
        "class against all others; the mean is unweighted (macro F1).",
        stacked=True,
    )
    return [table] if rows else []


def _with_backbone(study: StudyFindings, arm: ArmFindings) -> Cell:
    """Return the arm's name, with its backbone where arms differ in it."""
    backbones = {each.training.method for each in study.arms}
    return Cell(arm.title, arm.training.method if len(backbones) > 1 else "")


def _with_interval(score: Score) -> Cell:
    return Cell(score_text(score), interval_text(score.low, score.high))


def _mean_over_seeds(values: Sequence[float | None]) -> str:
    measured = [value for value in values if value is not None]
    if not measured:
        return UNDEFINED
    return mean_text(float(np.mean(measured)), float(np.std(measured, ddof=1)) if len(measured) > 1 else None, ".3f")


def calibration_section(study: StudyFindings) -> Section:
    """Show calibration and the scores that are in no other table."""
    table = Table(
        caption="Further scores: mean ± standard deviation over seeds",
        columns=["Arm", *(SCORE_NAMES[name] for name in FURTHER_SCORES)],
        rows=[cells(arm.title, *(score_text(arm.scores[name]) for name in FURTHER_SCORES)) for arm in study.arms],
        note="Brier score and calibration error: lower is better.",
    )
    lead = "Do the predicted probabilities agree with the share of correct predictions?"
    return Section("calibration", "Calibration", lead, [Figures([calibration_figure(study)]), table])


def patients_section(study: StudyFindings, classes: Sequence[str]) -> Section:
    """Show the accuracy of each test patient (slide, image)."""
    arms = leading(study)
    patients = sorted(study.patients, key=lambda patient: patient.accuracy.get(study.reference, 0.0))[:MAX_PATIENTS]
    rows = []
    for patient in patients:
        by_class = "\n".join(f"{patient.patches[name]} {name}" for name in classes if patient.patches.get(name))
        accuracies = [patient.accuracy[arm.name] for arm in arms]
        patches = Cell(f"{sum(patient.patches.values()):,}", by_class)
        rows.append([Cell(patient.patient), patches, *(Cell(f"{value:.3f}", share=value) for value in accuracies)])
    omitted, unit = len(study.patients) - len(patients), study.units.removesuffix("s")
    note = f"Sorted by the accuracy of {study.title(study.reference)}, lowest first."
    if omitted:
        note += f" {counted(omitted, study.units)} with higher accuracy are omitted; metrics.json lists all."
    table = Table(
        caption=f"Accuracy by test {unit}, mean over seeds",
        columns=[unit.capitalize(), "Patches", *(arm.title for arm in arms)],
        rows=rows,
        note=note,
    )
    lead = f"Do the results depend on a few {study.units}?"
    return Section("patients", f"Results by {unit}", lead, [table] if rows else [])
