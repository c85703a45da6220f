"""The section on what somebody else made and entered into a leaderboard."""

from histoforge.evaluation.fixed_sets import METHOD
from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.reports.layout.blocks import Section, Table, Text, cells
from histoforge.reports.text.formatting import MISSING

READING = (
    "Those who made these patches may have trained on patients whose patches test the classifiers here. The "
    "memorisation audit finds copies of training patches; ask for the list of patients all the same."
)
FIXED = (
    "A fixed set of patches has no latent space, no cost of drawing and no further draw, so path lengths, seconds, "
    "memory and deviations are empty. Its patches are chosen at random, none twice, in the shares of the classes."
)


def entrants_section(findings: LeaderboardFindings) -> Section:
    """Show where the entrants of others come from, and why some of their numbers are missing."""
    entrants = [entry for entry in findings.entries if entry.origin]
    stated = [
        (
            entry.name,
            "fixed set" if entry.method == METHOD else f"generator ({entry.method})",
            f"{entry.scores[0].drawing.count:,}",
            *(entry.origin.get(name) or MISSING for name in ("origin", "licence", "source")),
            entry.scores[0].digests.generator[:12],
        )
        for entry in entrants
    ]
    table = Table(
        caption="What somebody else made, as its maker states it",
        columns=["Name", "Kind", "Patches scored", "Origin", "Licence", "Source", "Digest"],
        rows=[cells(*row) for row in stated],
        textual=True,
    )
    texts = [READING, *([FIXED] if any(entry.method == METHOD for entry in entrants) else [])]
    lead = "Who made the entrants that were not trained here?"
    return Section("entrants", "Entrants of other origin", lead, [table, Text(texts)] if entrants else [])
