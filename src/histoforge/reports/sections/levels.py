"""The section on generators at their spatial levels: Tables 1 and 2 of PathUp, and what the model's parts can do."""

from collections.abc import Mapping, Sequence

from histoforge.autoencoder.reconstruction import ReconstructionError
from histoforge.evaluation.generator_scores import GeneratorScores
from histoforge.evaluation.large_images import LargeImageFindings
from histoforge.evaluation.level_scores import OVERVIEW, PATCH, LevelScores
from histoforge.generators.methods import title
from histoforge.metrics.table import METRICS, TWO_DECIMALS
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, cells
from histoforge.reports.layout.pictures import picture
from histoforge.reports.text.formatting import MISSING, mean_text, value_text
from histoforge.reports.text.pathup_figures import TABLE_1, TABLE_2
from histoforge.reports.text.pathup_figures import Figures as Paper

PATHUP = "pathup"
COLUMNS = ("precision", "recall", "fid", "kid")
TITLES = tuple(METRICS[name].title for name in COLUMNS)
LEVELS = (OVERVIEW, PATCH)
LEAK_FIGURES = ("class_from_image", "class_with_prompt", "class_by_chance")
PICTURE_PX = 720
OTHER_DATA = (
    "'paper' is PathUp's own figure on BRACS with Inception features and 10,000 images: other data and another "
    "extractor, so compare the order of the rows, not the numbers."
)


def levels_section(large: LargeImageFindings | None) -> Section:
    """Compare generators at both levels, with and without alignment; empty without their scores."""
    generators = [] if large is None else [scores for scores in large.generators if scores.levels]
    aligned = [scores for scores in generators if scores.method == PATHUP]
    ours = [scores for scores in aligned if scores.reward != "prompt"]
    competitors = [scores for scores in generators if scores not in aligned]
    blocks: list[Block] = []
    for extractor in dict.fromkeys(row.extractor for scores in generators for row in scores.levels):
        blocks += _level_table("Table 1: generators", [*competitors, *ours], extractor, TABLE_1)
        if len(aligned) > 1:
            blocks += _level_table("Table 2: alignment", aligned, extractor, TABLE_2)
    blocks += _leak_table(generators)
    if large is not None:
        blocks += _reconstruction_table(large.reconstruction)
        figures = [
            picture(file, f"{level}s and their reconstructions", _restored_text(level), PICTURE_PX)
            for level, file in large.restored.items()
        ]
        blocks += [Figures(figures, wide=True)] if figures else []
    lead = "Which generator draws overviews and patches most like the real ones, and what does alignment contribute?"
    return Section("levels", "Overviews and patches", lead, blocks)


def metric_cells(scores: LevelScores, paper: Paper | None) -> list[Cell]:
    """Return the metrics of the paper's tables, mean and deviation, each with the paper's own figure below it."""
    row = []
    for index, name in enumerate(COLUMNS):
        metric, value = METRICS[name], scores.metrics[name]
        quoted = f"paper: {mean_text(*paper[index], metric.format)}" if paper else ""
        row.append(Cell(mean_text(metric.scaled(value.mean), metric.scaled(value.std), metric.format), quoted))
    return row


def real_cells(scores: LevelScores) -> list[Cell]:
    """Return what validation images reach in the metrics of the paper's tables."""
    values = ((METRICS[name], scores.real.get(name)) for name in COLUMNS)
    return [Cell(value_text(metric.scaled(value), metric.format)) for metric, value in values]


def counts_cell(scores: LevelScores) -> Cell:
    """Return the number of draws and of images in each."""
    draws = f"{scores.draws} x " if scores.draws > 1 else ""
    return Cell(f"{draws}{scores.n_fake:,}", f"against {scores.n_real:,}")


def metrics_note(rows: Sequence[LevelScores]) -> str:
    """Return what the metrics are, over what they vary, and the caution that the fewest images require."""
    first = min(rows, key=lambda row: min(row.n_fake, row.n_real))
    spread = f"Mean ± standard deviation over {first.draws} draws. " if first.draws > 1 else "One draw, no deviation. "
    return (
        f"{spread}Precision and recall: improved, with {first.neighbours} neighbours. Real images are those of "
        f"validation patients. {first.note} {OTHER_DATA}"
    )


def _level_table(
    caption: str, generators: Sequence[GeneratorScores], extractor: str, paper: Mapping[tuple[str, str], Paper]
) -> list[Table]:
    rows, shown = [], []
    for level in LEVELS:
        scored = [(scores, row) for scores in generators for row in scores.levels if _is_of(row, level, extractor)]
        for scores, row in scored:
            name = title(scores.method, scores.reward)
            label = Cell(_label(scores, generators), f"{level} level")
            rows.append([label, counts_cell(row), *metric_cells(row, paper.get((level, name)))])
        shown += [row for _, row in scored]
        if scored and scored[0][1].real:
            rows.append([Cell("real images", f"{level} level"), Cell(""), *real_cells(scored[0][1])])
    if not rows:
        return []
    columns = ["Generator", "Images", *TITLES]
    return [Table(f"{caption}, in the features of {extractor}", columns, rows, note=metrics_note(shown), stacked=True)]


def _is_of(row: LevelScores, level: str, extractor: str) -> bool:
    return (row.level, row.extractor) == (level, extractor)


def _label(scores: GeneratorScores, generators: Sequence[GeneratorScores]) -> str:
    """Return the name of a generator, with its seed if there are several of the name."""
    seeds = {other.seed for other in generators if other.name == scores.name}
    return f"{scores.name}, seed {scores.seed}" if len(seeds) > 1 else scores.name


def _leak_table(generators: Sequence[GeneratorScores]) -> list[Table]:
    probed = [scores for scores in generators if set(LEAK_FIGURES) <= set(scores.figures)]
    table = Table(
        caption="What the feature of the U-Net tells of the class",
        columns=["Generator", "From the image alone", "With the prompt", "By chance"],
        rows=[
            [Cell(_label(scores, generators)), *(Cell(f"{scores.figures[name]:.1%}") for name in LEAK_FIGURES)]
            for scores in probed
        ],
        note="Accuracy of a linear classifier of the feature that the feature entropy loss contrasts, on validation "
        "latents. That loss can be lowered by copying the prompt into the feature: if the accuracy rises with the "
        "prompt but not without it, the loss has aligned prompts and not images (A3-3).",
    )
    return [table] if probed else []


def _reconstruction_table(errors: Mapping[str, ReconstructionError]) -> list[Table]:
    extractor = next((error.extractor for error in errors.values() if error.extractor), "")
    table = Table(
        caption="What the autoencoder loses: validation images against their reconstructions",
        columns=["Level", "Images", "PSNR, dB", "SSIM", "FID"],
        rows=[
            cells(
                level,
                f"{error.images:,}",
                f"{error.psnr:.2f}",
                f"{error.ssim:.3f}",
                value_text(error.fid, TWO_DECIMALS),
            )
            for level, error in errors.items()
        ],
        note="All images of a latent diffusion model are drawn through this decoder, so this is the floor under every "
        f"distance of such a model on this page. FID in the features of {extractor or MISSING}.",
    )
    return [table] if errors else []


def _restored_text(level: str) -> str:
    return f"Validation {level}s, and below them what the autoencoder makes of them."
