"""The sections of the comparison of one network with two stages: Tables I and II and Fig. 3 of Li et al."""

from collections.abc import Mapping, Sequence

import numpy as np

from histoforge.evaluation.findings import Findings, NetworkRecord
from histoforge.evaluation.study_findings import SCORE_NAMES, TABLE_SCORES, ArmFindings, StudyFindings
from histoforge.evaluation.unified import two_stages, unified_network
from histoforge.generators.unified_networks import BASE, UNIFIED
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, cells
from histoforge.reports.plots.networks import weighing_figure
from histoforge.reports.plots.training import generator_figures
from histoforge.reports.plots.unified_training import unified_figures
from histoforge.reports.sections.patches import file_figure
from histoforge.reports.text import paper_figures
from histoforge.reports.text.formatting import effect_interval, interval_text, p_value, score_text, value_text

OTHER_DATA = (
    "Paper: Li et al., Tables I and II, trained and tested on PCam (10% of its training patches, 96 px, 500 epochs). "
    "These are other data, other patients and longer trainings: compare the order of the rows, not the numbers."
)
PARTS = {BASE: ("no", "no"), "vitgan_cp": ("yes", "no"), "vitgan_sa": ("no", "yes"), UNIFIED: ("yes", "yes")}
"""Class projection and selection in the loop of the networks in Table II."""


def comparison_section(study: StudyFindings) -> Section:
    """Show Table I: every arm beside the paper's figures; empty unless the study has a unified network."""
    arms = [arm for arm in study.arms if {"network", "backbone"} & arm.factors.keys()]
    stages = two_stages(arms)
    blocks: list[Block] = []
    if unified_network(arms):
        rows = [_row(arm, paper_figures.of_table_1(arm.factors)) for arm in arms]
        note = f"In square brackets: {study.confidence:.0%} interval over test {study.units}. {OTHER_DATA}"
        if stages is not None:
            note += " The highlighted row stands for the two-stage system: its validation accuracy is the highest."
        marked = arms.index(stages) if stages is not None else None
        columns = ["Arm", *(SCORE_NAMES[score] for score in TABLE_SCORES)]
        caption = "Table I: one network and two stages, mean ± standard deviation over seeds"
        blocks.append(Table(caption, columns, rows, note=note, stacked=True, marked=marked))
    lead = "Is one network that draws and classifies better than a generator followed by a classifier?"
    return Section("unified", "One network against two stages", lead, blocks)


def ablation_section(findings: Findings) -> Section:
    """Show Table II and Fig. 3: what class projection, selection in the loop, and the weighing contribute."""
    study = findings.study
    arms = {str(arm.factors["network"]): arm for arm in study.arms if "network" in arm.factors}
    blocks: list[Block] = []
    compared = {name: arms[name] for name in PARTS if name in arms}
    if len(compared) > 1:
        blocks.append(_ablation_table(study, compared))
    if difference := _weighing_table(study, arms):
        blocks.append(difference)
    figure = weighing_figure(findings.networks)
    if figure is not None:
        blocks.append(Figures([figure]))
    lead = "What do class projection (CP), selection in the loop (SA) and the weighing of the class losses contribute?"
    return Section("ablation", "Parts of the unified network", lead, blocks)


def networks_section(findings: Findings) -> Section:
    """Show the training and the patches of the unified network, at its lowest seed, and what its filter let pass."""
    records = findings.networks.get(UNIFIED, ())
    blocks: list[Block] = []
    if records:
        first = records[0]
        figures = [
            *generator_figures(first.curves, first.chosen_epoch),
            *unified_figures(first.curves, findings.classes),
        ]
        blocks += [Figures(figures), _passed_table(findings)]
        if first.pictures:
            blocks.append(Figures([file_figure(file, 720) for file in first.pictures], wide=True))
    lead = "Did the network learn to draw and to classify, and which of its patches passed its own filter?"
    return Section("networks", "Training of the unified network", lead, blocks)


def _row(arm: ArmFindings, paper: paper_figures.Figures | None) -> list[Cell]:
    return [Cell(arm.title), *_score_cells(arm, paper)]


def _score_cells(arm: ArmFindings, paper: paper_figures.Figures | None) -> list[Cell]:
    row = []
    for index, name in enumerate(TABLE_SCORES):
        score = arm.scores[name]
        small = [interval_text(score.low, score.high), f"paper: {paper[index]:.3f}" if paper else ""]
        row.append(Cell(score_text(score), "\n".join(line for line in small if line)))
    return row


def _ablation_table(study: StudyFindings, arms: Mapping[str, ArmFindings]) -> Table:
    rows = [
        [*cells(arm.title, *PARTS[name]), *_score_cells(arm, paper_figures.ABLATION[name]), _gain(study, arm)]
        for name, arm in arms.items()
    ]
    return Table(
        caption="Table II: the network without and with its two parts, mean ± standard deviation over seeds",
        columns=["Network", "CP", "SA", *(SCORE_NAMES[score] for score in TABLE_SCORES), "Accuracy minus base"],
        rows=rows,
        note="Base: neither part, which is MedViTGAN. The paper's Table II has 0.916 for it, and its Table I 0.939 "
        f"for MedViTGAN (A2-14). {OTHER_DATA}",
        stacked=True,
    )


def _gain(study: StudyFindings, arm: ArmFindings) -> Cell:
    base = next((each.name for each in study.arms if each.factors.get("network") == BASE), "")
    difference = study.difference(arm.name, "accuracy", base) if base and arm.name != base else None
    effect = difference.overall if difference else None
    if effect is None:
        return Cell("")
    details = f"{interval_text(effect.low, effect.high, '+.3f')}\n{p_value(effect)}".strip()
    return Cell(value_text(effect.difference, "+.3f"), details)


def _weighing_table(study: StudyFindings, arms: Mapping[str, ArmFindings]) -> Table | None:
    """Compare the weighing 'exp' with 'log' in the scores; None unless both were trained."""
    if not {UNIFIED, "vitgan_log"} <= arms.keys():
        return None
    weighings = {"exp": UNIFIED, "log": "vitgan_log"}
    rows = [[Cell(weighing), *_score_cells(arms[name], None)] for weighing, name in weighings.items()]
    difference = study.difference("vitgan_log", "accuracy")
    effect = difference.overall if difference else None
    note = "exp: this paper's weighing (eq. 7); log: that of Kendall et al. 2018."
    if effect is not None and effect.difference is not None:
        note += f" Accuracy of log minus exp: {effect.difference:+.3f}, {effect_interval('accuracy', effect)}."
    columns = ["Weighing", *(SCORE_NAMES[score] for score in TABLE_SCORES)]
    return Table("Weighing of the class losses, mean ± standard deviation over seeds", columns, rows, note=note)


def _passed_table(findings: Findings) -> Table:
    """Show by class how many synthetic patches of the last epochs passed the filter in the loop, for each seed."""
    rows = []
    for name, records in findings.networks.items():
        title = findings.study.title(name)
        for record in records:
            rows.append(cells(f"{title}, seed {record.seed}", *_passed(record, findings.classes)))
    return Table(
        caption="Synthetic patches by class: share that passed the filter in the loop, whole training and last epoch",
        columns=["Network", *findings.classes],
        rows=rows,
        note="The filter keeps a synthetic patch if the class head gives its class a probability above 'confidence'. "
        "Networks without selection use all of them; the share is what the filter would have kept.",
    )


def _passed(record: NetworkRecord, classes: Sequence[str]) -> list[str]:
    curves = (record.curves.get(f"passed_{label}", ([], []))[1] for label in range(len(classes)))
    return [f"{np.mean(values):.0%}, at last {values[-1]:.0%}" if values else "none drawn" for values in curves]
