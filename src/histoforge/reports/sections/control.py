"""The section on the positive control and the price of the synthetic patches."""

from histoforge.evaluation.study_findings import SCORE_NAMES, StudyFindings
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, cells
from histoforge.reports.plots.control import control_figure
from histoforge.reports.text.control import control_verdict, price_text
from histoforge.reports.text.formatting import UNDEFINED, interval_text, p_value, score_name, score_text, value_text

ORIGINS = {
    "patient": "patients that no other arm trains on",
    "slide": "slides that no other arm trains on, of training patients",
    "patch": "training patients, whose other patches all arms train on",
}


def control_section(study: StudyFindings) -> Section:
    """Show what held-back real patches achieve in place of the synthetic ones, and what these were worth."""
    lead = "Could this experiment have shown a benefit, and how many real patches were the synthetic ones worth?"
    control = study.control
    blocks: list[Block] = []
    if control is not None:
        origin = f" They come from {ORIGINS[control.held_back]}." if control.held_back in ORIGINS else ""
        table = Table(
            caption="Held-back real patches in place of the synthetic ones",
            columns=[
                "Arm",
                "Added real patches",
                SCORE_NAMES[study.score],
                f"Difference from {study.title(study.reference)}",
            ],
            rows=[_control_row(study, name) for name in (study.reference, *control.added)],
            note=f"Trained like the other arms, for as many steps.{origin} The arm with the most of them is the "
            "control: its p-value, over patients and training runs, is not corrected, because it asks another question "
            f"than the arms compared above.{_fractions_note(study)}",
        )
        blocks.append(table)
        if control.prices and control_verdict(study) == "better":
            blocks.append(_prices(study))
        if (figure := control_figure(study)) is not None:
            blocks.append(Figures([figure]))
    return Section("control", "Positive control and price", lead, blocks)


def _fractions_note(study: StudyFindings) -> str:
    """Say that the control speaks of the whole training split, in a study that also trained on fractions of it."""
    if not any("fraction" in arm.factors for arm in study.arms):
        return ""
    return (
        " It was trained on the whole training split. No control was trained on fractions of it, so whether their "
        "comparisons could have shown a benefit stays open."
    )


def _control_row(study: StudyFindings, name: str) -> list[Cell]:
    arm, difference = study.arm(name), study.difference(name, study.score)
    effect = difference.overall if difference else None
    cell = Cell("reference" if name == study.reference else UNDEFINED)
    if effect is not None and effect.difference is not None:
        details = (interval_text(effect.low, effect.high, "+.3f"), p_value(effect))
        cell = Cell(f"{effect.difference:+.3f}", "\n".join(filter(None, details)))
    return [Cell(arm.title), Cell(f"{arm.control:,}"), Cell(score_text(arm.scores[study.score])), cell]


def _prices(study: StudyFindings) -> Table:
    assert study.control is not None
    rows = [
        cells(
            study.title(name),
            f"{study.arm(name).synthetic:,}",
            value_text(study.arm(name).scores[study.score].mean, missing=UNDEFINED),
            price_text(price),
        )
        for name, price in study.control.prices.items()
    ]
    doses = ", ".join(f"{number:,}" for number in study.control.added.values())
    return Table(
        caption="What the synthetic patches were worth",
        columns=["Arm", "Synthetic patches", SCORE_NAMES[study.score], "Worth in added real patches"],
        rows=rows,
        note=f"The number of added real patches with which the {score_name(study.score)} is that of the arm, read from "
        f"the line through the reference and {doses} added real patches. The interval contains every number with "
        "which the two are not significantly different over patients and training runs.",
    )
