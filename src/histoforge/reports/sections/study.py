"""The sections on the results of the arms on the test split."""

from collections.abc import Sequence

import numpy as np

from histoforge.core.text import counted, duration
from histoforge.evaluation.findings import SCORE_NAMES, TABLE_SCORES, ArmFindings, StudyFindings
from histoforge.reports.layout.blocks import Block, Cell, Figures, Matrices, Section, Table, cells
from histoforge.reports.plots import study as plots
from histoforge.reports.text.study_answer import judge, p_value

MOST_PATIENTS = 60
MOST_MATRICES = 8
CLASS_SCORES = ("sensitivity", "specificity", "precision", "f1", "auc")


def study_sections(study: StudyFindings, classes: Sequence[str]) -> list[Section]:
    """Return all of these sections, in the order of the page."""
    return [_study(study), _factors(study), _by_class(study, classes), _calibration(study), _patients(study, classes)]


def training_section(study: StudyFindings) -> Section:
    """Show the course of the classifiers' training."""
    figures = plots.histories_figures(study)
    rows = [_training_row(arm) for arm in study.arms if arm.training.epochs]
    table = Table(
        caption="Training of the classifiers",
        columns=["Arm", "Seeds", "Epochs run", "Epoch kept", "Steps", "Time"],
        rows=rows,
        note="A value a seed. Time is spent on all seeds of the arm together.",
    )
    blocks: list[Block] = [Figures(figures)] if figures else []
    lead = "Did every arm learn, and did it stop for the right reason?"
    return Section("training", "Training of the classifiers", lead, [*blocks, *([table] if rows else [])])


def score_text(arm: ArmFindings, score: str) -> str:
    """Format a score as in the paper's tables: '0.754 ± 0.012'."""
    found = arm.scores[score]
    if found.mean is None:
        return "undefined"
    return f"{found.mean:.3f}" + ("" if found.deviation is None else f"\u00a0±\u00a0{found.deviation:.3f}")


def _study(study: StudyFindings) -> Section:
    place = next(i for i, arm in enumerate(study.arms) if arm.name == study.reference)
    table = Table(
        caption="Classification of the test split: mean ± standard deviation over seeds",
        columns=["Arm", "Training patches", *(SCORE_NAMES[score] for score in TABLE_SCORES)],
        rows=[_study_row(study, arm) for arm in study.arms],
        note=f"[ ]: {study.confidence:.0%} bootstrap interval over test {study.units}. Difference: from "
        f"{plots.reference_words(study)}, with its interval and two p-values after Holm's correction over the arms: "
        f"of the bootstrap over {study.units}, and of a paired t-test over seeds. Sensitivity and specificity: "
        f"{study.arms[0].runs[0].averaging}.",
        stacked=True,
        marked=place,
    )
    figures = [plots.scores_figure(study), plots.differences_figure(study)]
    blocks: list[Block] = [table, Figures([figure for figure in figures if figure is not None])]
    return Section("study", "The arms compared", "Which way of training classifies unseen patients best?", blocks)


def _study_row(study: StudyFindings, arm: ArmFindings) -> list[Cell]:
    real, synthetic = sum(arm.counts.get("train", {}).values()), arm.synthetic
    trained = Cell(f"{real:,} real" if real else "", f"+ {synthetic:,} synthetic" if synthetic else "")
    return [Cell(arm.title), trained, *(_score_cell(study, arm, score) for score in TABLE_SCORES)]


def _score_cell(study: StudyFindings, arm: ArmFindings, score: str) -> Cell:
    found = arm.scores[score]
    lines = [_between(found.low, found.high, ".3f")]
    difference = study.difference(arm.name, score)
    tone = ""
    if difference is not None and difference.over_patients.difference is not None:
        patients, seeds = difference.over_patients, difference.over_seeds
        tests = {"bootstrap": p_value(patients), "t-test": p_value(seeds) if seeds else ""}
        told = [f"{name}: {p or 'no test'}" for name, p in tests.items()] if any(tests.values()) else []
        interval = _between(patients.low, patients.high, "+.3f")
        lines += [f"difference {patients.difference:+.3f}", interval, *told]
        tone = {"better": "good", "worse": "bad"}.get(judge(difference), "")
    return Cell(score_text(arm, score), "\n".join(line for line in lines if line), tone)


def _between(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else f"[{low:{form}}, {high:{form}}]"


def _factors(study: StudyFindings) -> Section:
    figures = [figure for figure in (plots.ratio_figure(study), plots.fraction_figure(study)) if figure is not None]
    lead = "How does the score change with what was varied between the arms?"
    return Section("factors", "Ratios, pools and fractions", lead, [Figures(figures)] if figures else [])


def _by_class(study: StudyFindings, classes: Sequence[str]) -> Section:
    arms = plots.leading(study, MOST_MATRICES)
    blocks: list[Block] = [
        Matrices(
            [_confusion_table(arm, classes) for arm in arms],
            note="Rows: true class. Columns: predicted class. Test patches, mean over seeds, with their share of the "
            "row (shaded).",
        ),
        Table(
            caption="Scores by class: mean ± standard deviation over seeds",
            columns=["Arm and class", "Test patches", *(SCORE_NAMES[score] for score in CLASS_SCORES)],
            rows=[_class_row(arm, place) for arm in arms for place in range(len(classes))],
            note="Each class against all others.",
        ),
    ]
    roc = plots.roc_figure(study, classes)
    return Section(
        "classes",
        "Errors by class",
        "Which classes are taken for which?",
        [*blocks, *([Figures([roc])] if roc else [])],
    )


def _confusion_table(arm: ArmFindings, classes: Sequence[str]) -> Table:
    counts = arm.mean_confusion
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    rows = [
        [
            Cell(classes[true]),
            *(Cell(f"{count:,.1f}".removesuffix(".0"), f"{share:.0%}", share=float(share))
              for count, share in zip(counts[true], shares[true], strict=True)),
        ]
        for true in range(len(classes))
    ]  # fmt: skip
    return Table(caption=arm.title, columns=["True", *classes], rows=rows)


def _class_row(arm: ArmFindings, place: int) -> list[Cell]:
    runs = [run.classes[place] for run in arm.runs]
    scores = [_mean_text([getattr(run, name) for run in runs]) for name in CLASS_SCORES]
    return cells(f"{arm.title}: {runs[0].name}", f"{runs[0].n:,}", *scores)


def _mean_text(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "undefined"
    spread = f"\u00a0±\u00a0{np.std(known, ddof=1):.3f}" if len(known) > 1 else ""
    return f"{np.mean(known):.3f}{spread}"


def _calibration(study: StudyFindings) -> Section:
    figure = plots.calibration_figure(study)
    names = ("balanced_accuracy", "f1", "brier", "calibration_error")
    table = Table(
        caption="Further scores: mean ± standard deviation over seeds",
        columns=["Arm", *(SCORE_NAMES[name] for name in names)],
        rows=[cells(arm.title, *(score_text(arm, name) for name in names)) for arm in study.arms],
        note="Brier score and calibration error: lower is better.",
    )
    lead = "Do the probabilities mean what they say?"
    return Section("calibration", "Calibration", lead, [*([Figures([figure])] if figure else []), table])


def _patients(study: StudyFindings, classes: Sequence[str]) -> Section:
    arms = plots.leading(study)
    rows = sorted(study.patients, key=lambda row: row.accuracy.get(study.reference, 0.0))[:MOST_PATIENTS]
    rest = len(study.patients) - len(rows)
    one = study.units.removesuffix("s").capitalize()
    table = Table(
        caption=f"Accuracy by test {one.lower()}, mean over seeds",
        columns=[one, "Patches", *(arm.title for arm in arms)],
        rows=[
            [
                Cell(row.patient),
                Cell(
                    f"{sum(row.patches.values()):,}",
                    "\n".join(f"{row.patches[c]} {c}" for c in classes if row.patches.get(c)),
                ),
                *(Cell(f"{value:.3f}", share=value) for value in (row.accuracy[arm.name] for arm in arms)),
            ]
            for row in rows
        ],
        note=f"The hardest {study.units} for {study.title(study.reference)} first."
        + (f" {counted(rest, study.units)} more are left out; all are in metrics.json." if rest else ""),
    )
    lead = f"Is a result carried by all {study.units}, or by one?"
    return Section("patients", f"Results by {one.lower()}", lead, [table] if rows else [])


def _training_row(arm: ArmFindings) -> list[Cell]:
    training = arm.training
    by_seed = (arm.seeds, training.epochs, training.best_epochs, training.steps)
    return cells(arm.title, *(", ".join(map(str, values)) for values in by_seed), duration(sum(training.seconds)))
