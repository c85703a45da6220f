"""Builds the leaderboard page from its findings, in the order in which a reader asks."""

from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.reports.layout.blocks import Block, Details, Page, Section, Table, cells
from histoforge.reports.sections.guide import guide_section
from histoforge.reports.sections.leaderboard import (
    board_section,
    downstream_section,
    map_section,
    patches_section,
    reward_section,
    training_section,
)
from histoforge.reports.sections.leaderboard_metrics import (
    collapse_section,
    costs_section,
    distances_section,
    labels_section,
    memorisation_section,
    paths_section,
)
from histoforge.reports.text.leaderboard_answer import LeaderboardAnswer


def build_leaderboard(found: LeaderboardFindings, answer: LeaderboardAnswer) -> Page:
    """Build the page."""
    return Page(
        title=found.title,
        subtitle=found.subtitle,
        verdict=answer.verdict,
        headline=answer.headline,
        answer=answer.lines,
        facts=_facts(found),
        warnings=found.warnings,
        numbers="leaderboard.json",
        sections=[
            board_section(found),
            reward_section(found),
            downstream_section(found),
            patches_section(found),
            map_section(found),
            distances_section(found),
            labels_section(found),
            paths_section(found),
            collapse_section(found),
            memorisation_section(found),
            training_section(found),
            guide_section(found),
            costs_section(found),
            _provenance_section(found),
        ],
    )


def _facts(found: LeaderboardFindings) -> list[tuple[str, str]]:
    first = found.entries[0].scores[0]
    facts = [
        (f"{len(found.entries)}", "methods"),
        (f"{sum(len(one.scores) for one in found.entries)}", "generators"),
        (f"{first.judge_metrics.n_fake:,}", "synthetic patches judged, each"),
        (f"{first.judge_metrics.n_real:,}", "real ones compared with"),
    ]
    if found.test_patches:
        facts += [(f"{found.test_patches:,}", "test patches"), (f"{found.test_units:,}", f"test {found.units}")]
    return facts


def _provenance_section(found: LeaderboardFindings) -> Section:
    table = Table(
        caption="Digests and versions",
        columns=["What", "Value"],
        rows=[cells(name, value) for name, value in found.provenance],
        words=True,
    )
    blocks: list[Block] = [table, *(Details(title, text) for title, text in found.settings)]
    return Section("settings", "Settings, versions and digests", "What to repeat, to get the same result.", blocks)
