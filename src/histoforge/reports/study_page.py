"""Builds the whole report from the findings, in the order in which a reader asks."""

from histoforge.core.text import counted
from histoforge.evaluation.findings import Findings
from histoforge.reports.layout.blocks import Block, Cell, Details, Page, Section, Table, cells
from histoforge.reports.sections.study import study_sections, training_section
from histoforge.reports.sections.synthetic import (
    generator_section,
    memorisation_section,
    patches_section,
    selection_section,
    slides_section,
)
from histoforge.reports.text.study_answer import Answer, score_name


def build_page(found: Findings, answer: Answer) -> Page:
    """Build the page."""
    study = found.study
    return Page(
        title=found.title,
        subtitle=found.subtitle,
        verdict=answer.verdict,
        headline=answer.headline,
        answer=answer.lines,
        facts=_facts(found, answer),
        warnings=found.warnings,
        sections=[
            *study_sections(study, found.classes),
            patches_section(found),
            selection_section(found),
            generator_section(found),
            memorisation_section(found),
            _data_section(found),
            slides_section(found),
            training_section(study),
            _provenance_section(found),
        ],
    )


def _facts(found: Findings, answer: Answer) -> list[tuple[str, str]]:
    study = found.study
    test, units = found.counts.get("test", {}), found.units.get("test", {})
    score = study.arm(answer.best).scores[study.score].mean
    base = study.arm(answer.reference).scores[study.score].mean
    name = score_name(study.score)
    facts = []
    if answer.difference is not None and score is not None:
        facts.append((f"{score:.3f}", f"{name} of {study.title(answer.best)}"))
    if base is not None:
        facts.append((f"{base:.3f}", f"{name} of {study.title(answer.reference)}"))
    synthetic = max((arm.synthetic for arm in study.arms), default=0)
    if synthetic:
        facts.append((f"{synthetic:,}", "synthetic patches added at most"))
    return [
        *facts,
        (f"{sum(test.values()):,}", "test patches"),
        (f"{units.get('', 0):,}", f"test {study.units}"),
        (f"{max(len(arm.seeds) for arm in study.arms)}", "seeds an arm"),
    ]


def _data_section(found: Findings) -> Section:
    one = found.study.units
    rows = [
        [
            Cell(split),
            *(
                Cell(f"{counts.get(name, 0):,}", counted(found.units[split].get(name, 0), one))
                for name in found.classes
            ),
            Cell(f"{sum(counts.values()):,}", counted(found.units[split].get("", 0), one)),
        ]
        for split, counts in found.counts.items()
    ]
    table = Table(
        caption=f"Real patches and {one} by split and class",
        columns=["Split", *found.classes, "All"],
        rows=rows,
        note="Only the training split is seen by training, generator and selection; validation chooses the epoch; "
        "the test split is read by this evaluation alone.",
    )
    return Section("data", "Data", "What was trained on, and what was tested on?", [table])


def _provenance_section(found: Findings) -> Section:
    table = Table(
        caption="Digests, versions and durations",
        columns=["What", "Value"],
        rows=[cells(name, value) for name, value in found.provenance],
        words=True,
    )
    blocks: list[Block] = [table] if found.provenance else []
    blocks += [Details(title, text) for title, text in found.settings]
    return Section("settings", "Settings, versions and digests", "What to repeat, to get the same result.", blocks)
