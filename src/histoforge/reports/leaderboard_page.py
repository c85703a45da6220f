"""The page of a leaderboard, in the order in which a reader asks."""

from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.reports.layout.blocks import Page
from histoforge.reports.sections.distances import distances_section
from histoforge.reports.sections.entrants import entrants_section
from histoforge.reports.sections.guide import guide_section
from histoforge.reports.sections.leaderboard import (
    board_section,
    collapse_section,
    downstream_section,
    labels_section,
    map_section,
    paths_section,
)
from histoforge.reports.sections.memorisation import audits_section
from histoforge.reports.sections.patches import method_pictures_section
from histoforge.reports.sections.provenance import settings_section
from histoforge.reports.sections.training import costs_section, generators_section
from histoforge.reports.sections.variants import variants_section
from histoforge.reports.text.answer import Answer


def build_leaderboard_page(findings: LeaderboardFindings, answer: Answer) -> Page:
    """Return the page of a leaderboard."""
    return Page(
        title=findings.title,
        subtitle=findings.subtitle,
        verdict=answer.verdict,
        headline=answer.headline,
        answer=answer.lines,
        caveats=answer.caveats,
        key_numbers=_key_numbers(findings),
        warnings=findings.warnings,
        data_file="leaderboard.json",
        sections=[
            board_section(findings),
            entrants_section(findings),
            variants_section(findings),
            downstream_section(findings),
            method_pictures_section(findings),
            map_section(findings),
            distances_section(findings),
            labels_section(findings),
            paths_section(findings),
            collapse_section(findings),
            audits_section(findings),
            generators_section(findings),
            guide_section(findings),
            costs_section(findings),
            settings_section(findings.provenance, findings.settings),
        ],
    )


def _key_numbers(findings: LeaderboardFindings) -> list[tuple[str, str]]:
    metrics = findings.entries[0].scores[0].judge_metrics
    numbers = [
        (f"{len(findings.entries)}", "methods"),
        (f"{sum(len(entry.scores) for entry in findings.entries)}", "generators"),
        (f"{metrics.n_fake:,}", "synthetic patches per generator"),
        (f"{metrics.n_real:,}", "real patches compared with"),
    ]
    if findings.test_patches:
        numbers.append((f"{findings.test_patches:,}", "test patches"))
        numbers.append((f"{findings.test_units:,}", f"test {findings.units}"))
    return numbers
