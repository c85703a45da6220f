"""`histoforge estimate`: the time, memory, storage and GPU hours of a pipeline on a source, before it is run."""

from typing import TYPE_CHECKING, Annotated

import typer
from histoforge_pipelines.table import local_pipelines

from histoforge.cli.options import completion
from histoforge.cli.steps import ENTRANTS, FILE, PRESET, SET, SYNTHETIC, TEST_SOURCE, read_settings
from histoforge.core.settings import DEFAULT_PRESET, parse_overrides
from histoforge.core.text import duration, join_words

if TYPE_CHECKING:
    from histoforge.tasks.estimate.pipeline import Estimate, TaskEstimate

PIPELINES = list(local_pipelines())


def estimate(
    pipeline: Annotated[
        str, typer.Argument(help=f"one of {', '.join(PIPELINES)}", autocompletion=completion(PIPELINES))
    ],
    source: Annotated[str, typer.Option("--source", help="folder, or s3:// or minio:// prefix, of slides or images")],
    synthetic: SYNTHETIC = None,
    entrants: ENTRANTS = None,
    test_source: TEST_SOURCE = "",
    preset: PRESET = DEFAULT_PRESET,
    assignments: SET = None,
    config_file: FILE = None,
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="number of GPUs that share a training")] = 1,
    json: Annotated[bool, typer.Option("--json", help="print the estimate as JSON")] = False,
) -> None:
    """Estimate time, memory, storage and GPU hours of a pipeline from a short trial; nothing is kept."""
    from histoforge.cli.run.planning import estimate_run

    overrides = {**read_settings(config_file), **parse_overrides(assignments or [])}
    given = {"test_source": test_source, "synthetic": synthetic, "entrants": entrants}
    overrides |= {name: value for name, value in given.items() if value}
    result = estimate_run(pipeline, source, preset or "", overrides, gpus)
    print(result.model_dump_json(indent=2) if json else "\n".join(estimate_lines(result)))


def estimate_lines(result: "Estimate") -> list[str]:
    """Return an estimate as lines of text: the table of tasks, the totals, the rule, and what it cannot know."""
    patches = join_words([f"{count:,} of {name}" for name, count in result.patches.items()])
    untried = [f"  {task.task}: not tried: {task.not_tried}" for task in result.tasks if task.not_tried]
    return [
        f"{result.pipeline} on {result.source}: {result.files:,} files, about {sum(result.patches.values()):,} patches "
        f"({patches}), from a sample of {result.sampled}",
        "",
        f"  {'task':<44} {'times':>7} {'each':>12} {'GPU hours':>10} {'memory':>10} {'storage':>10}",
        *(_row(task) for task in result.tasks if not task.not_tried),
        f"  {'all':<44} {'':>7} {duration(result.seconds):>12} {result.gpu_hours:10.2f} {result.memory_gib:6.2f} GiB "
        f"{result.storage_gib:6.2f} GiB",
        *untried,
        "",
        f"Tried on {result.device}, one task after the other"
        + (f"; trainings divided among {result.gpus} GPUs." if result.gpus > 1 else "."),
        *result.rule,
        "Not known: " + "; ".join(result.unknown) + ".",
    ]


def _row(task: "TaskEstimate") -> str:
    return (
        f"  {task.task[:44]:<44} {task.times:>7} {duration(task.seconds):>12} {task.gpu_hours:10.2f} "
        f"{task.memory_gib or 0:6.2f} GiB {task.storage_gib:6.2f} GiB"
    )
