"""The leaderboard's section on the guide's reward."""

from histoforge.evaluation.leaderboard_findings import CONTROL, LeaderboardFindings, PairedDifference
from histoforge.generators.methods import METHODS
from histoforge.metrics.table import METRICS
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, cells
from histoforge.reports.plots.training import balance_figures, reward_figures
from histoforge.reports.text.formatting import DIFFERENCE, value_text
from histoforge.reports.text.leaderboard_answer import reward_lines


def reward_section(findings: LeaderboardFindings) -> Section:
    """Show the guide's reward: its modes at equal seeds, and its curves."""
    rewarded = findings.rewarded
    if not rewarded:
        return Section("reward", "The reward", "", [])
    blocks: list[Block] = [
        Table(
            caption="The rewards in this comparison",
            columns=["Reward", "Definition"],
            rows=[cells(entry.reward, METHODS[entry.method].variants.get(entry.reward, "")) for entry in rewarded],
            textual=True,
        )
    ]
    pairs = [pair for pair in findings.reward_pairs if pair.differences.mean is not None]
    if pairs:
        blocks.append(_pairs_table(pairs))
    figures = [*reward_figures(rewarded), *balance_figures(rewarded)]
    if figures:
        blocks.append(Figures(figures))
    return Section("reward", "The effect of the guide's reward", " ".join(reward_lines(findings)), blocks)


def _pairs_table(pairs: list[PairedDifference]) -> Table:
    return Table(
        caption=f"Each reward minus '{CONTROL}', at the seeds that both have",
        columns=["Metric", "Reward", "Mean difference", "Standard deviation", "Seeds", "By seed"],
        rows=[_pair_row(pair) for pair in pairs],
        note="A reward improves FID and KID if the difference is below zero, and the other metrics if it is above; PPL "
        "has no better direction. Differences are not tested, because there are too few seeds; if signs differ between "
        "seeds, a difference cannot be told from chance.",
        stacked=True,
    )


def _pair_row(pair: PairedDifference) -> list[Cell]:
    spread = pair.differences
    return cells(
        METRICS[pair.metric].title,
        f"{pair.reward} - {pair.against}",
        value_text(spread.mean, DIFFERENCE),
        value_text(spread.std, ",.3g"),
        spread.n,
        ", ".join(f"{seed}: {value:{DIFFERENCE}}" for seed, value in spread.values.items()),
    )
