"""The report of a study, in the order in which a reader asks."""

from histoforge.evaluation.findings import Findings
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.reports.layout.blocks import Page
from histoforge.reports.sections.attention import attention_section
from histoforge.reports.sections.control import control_section
from histoforge.reports.sections.distances import generator_section
from histoforge.reports.sections.external import external_section
from histoforge.reports.sections.generators import generators_section
from histoforge.reports.sections.large_images import large_images_section, paper_f1_table
from histoforge.reports.sections.levels import levels_section
from histoforge.reports.sections.memorisation import audit_section
from histoforge.reports.sections.patches import class_galleries_section, slides_section
from histoforge.reports.sections.provenance import data_section, settings_section
from histoforge.reports.sections.realism import realism_section
from histoforge.reports.sections.selection import selection_section
from histoforge.reports.sections.study import (
    arms_section,
    calibration_section,
    classes_section,
    factors_section,
    patients_section,
)
from histoforge.reports.sections.training import classifiers_section
from histoforge.reports.sections.unified import ablation_section, comparison_section, networks_section
from histoforge.reports.text.formatting import score_name
from histoforge.reports.text.study_answer import StudyAnswer


def build_study_page(findings: Findings, answer: StudyAnswer) -> Page:
    """Return the page of a study."""
    study, classes = findings.study, findings.classes
    return Page(
        title=findings.title,
        subtitle=findings.subtitle,
        verdict=answer.verdict,
        headline=answer.headline,
        answer=answer.lines,
        caveats=answer.caveats,
        key_numbers=_key_numbers(findings, answer),
        warnings=findings.warnings,
        sections=[
            comparison_section(study),
            ablation_section(findings),
            arms_section(study),
            control_section(study),
            external_section(findings.external),
            factors_section(study),
            classes_section(study, classes, paper_f1_table(findings.large_images)),
            calibration_section(study),
            patients_section(study, classes),
            attention_section(findings),
            large_images_section(findings.large_images),
            levels_section(findings.large_images),
            class_galleries_section(findings),
            realism_section(findings.realism, findings.checks),
            selection_section(findings),
            generator_section(findings),
            networks_section(findings),
            audit_section(findings.audit, findings.pairs, findings.copies),
            generators_section(findings),
            data_section(findings),
            slides_section(findings),
            classifiers_section(study),
            settings_section(findings.provenance, findings.settings),
        ],
    )


def _key_numbers(findings: Findings, answer: StudyAnswer) -> list[tuple[str, str]]:
    study = findings.study
    arms = [answer.best, answer.reference] if answer.difference is not None else [answer.reference]
    means = ((name, study.arm(name).scores[study.score].mean) for name in arms)
    numbers = [
        (f"{mean:.3f}", f"{score_name(study.score)} of {study.title(name)}") for name, mean in means if mean is not None
    ]
    chance = study.constant.scores.get(study.score) if study.constant else None
    if study.constant is not None and chance is not None:
        numbers.append((f"{chance:.3f}", f"always answering '{study.constant.class_name}'"))
    synthetic = max((arm.synthetic for arm in study.arms), default=0)
    if synthetic:
        numbers.append((f"{synthetic:,}", "synthetic patches added at most"))
    patches, units = findings.counts.get("test", {}), findings.units.get("test", {})
    return [
        *numbers,
        (f"{sum(patches.values()):,}", "test patches"),
        (f"{units.get('', 0):,}", f"test {study.units}"),
        (f"{max(len(set(arm.seeds)) for arm in study.arms)}", "seeds per arm"),
        *_folds_and_generators(study),
    ]


def _folds_and_generators(study: StudyFindings) -> list[tuple[str, str]]:
    """Return the numbers of folds and of generators, where there are several."""
    folds = max(len(arm.folds) for arm in study.arms)
    generators = max(len(set(arm.generator_seeds) - {None}) for arm in study.arms)
    return [
        *([(f"{folds}", "folds, each tested once")] if folds > 1 else []),
        *([(f"{generators}", "generators" + " per fold" * bool(folds))] if generators > 1 else []),
    ]
