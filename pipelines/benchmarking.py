"""The common tasks of the pipelines `rleo` and `generator_benchmark`: all but the training of a run's generator."""

from dataclasses import dataclass
from typing import Any, List, NamedTuple

from histoforge_components.finetune_snn.component import finetune_snn
from histoforge_components.leaderboard.component import leaderboard
from histoforge_components.plan_benchmark.component import plan_benchmark
from histoforge_components.score_generator.component import score_generator
from histoforge_components.train_classifier.component import train_classifier
from histoforge_pipelines.checking import Checked, check
from histoforge_pipelines.cutting import cut_patches
from histoforge_pipelines.parameters import RunParameters
from kfp import dsl


class Outputs(NamedTuple):
    """The outputs of the pipelines; lists are in the order of the runs."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    baseline: dsl.Model
    guide: dsl.Model
    generators: List[dsl.Model]
    samples: List[dsl.Dataset]
    arms: List[dsl.Model]
    both: List[dsl.Model]


@dataclass(frozen=True)
class BenchmarkData:
    """The common inputs of all runs of a benchmark.

    Attributes:
        checked: the pipeline's parameters, after `scan_source`.
        patches, overviews: the data.
        extractor: the arm of the classifiers trained on real patches, which is the baseline and scores the generators.
        guide: the siamese guide.
        runs: one item per run: see `tasks.plan_benchmark.plan_benchmark`.
        downstream_seeds: number of classifiers to train on the patches of each generator.
    """

    checked: Checked
    patches: Any
    overviews: Any
    extractor: Any
    guide: Any
    runs: Any
    downstream_seeds: Any


@dataclass(frozen=True)
class Scoring:
    """The tasks that evaluate a run's generator: its scores, and classifiers trained on its patches."""

    scores: dsl.PipelineTask
    synthetic_arm: dsl.PipelineTask
    both_arm: dsl.PipelineTask


def prepare(
    run: RunParameters, methods: Any, generator_seeds: Any, downstream_seeds: Any, entrants: Any = ()
) -> BenchmarkData:
    """Check everything, cut patches, and train the guide and the classifiers on real patches."""
    checked = check(run)
    plan = plan_benchmark(
        methods=methods,
        generator_seeds=generator_seeds,
        downstream_seeds=downstream_seeds,
        patch_size=run.patch_size,
        source=run.source,
        entrants=list(entrants) if isinstance(entrants, tuple) else entrants,
        **run.settings,
    )
    checked.assign(plan, "Plan the generators")
    cutting = cut_patches(checked, after=[plan])
    patches, overviews = cutting.outputs["patches"], cutting.outputs["overviews"]
    baseline = train_classifier(
        arm="baseline",
        use="real",
        patches=patches,
        seeds=run.seeds,
        checkpoints=run.checkpoints,
        **checked.settings("train_classifier"),
    )
    checked.assign(baseline, "Train on real patches")
    tuning = finetune_snn(
        patches=patches, overviews=overviews, checkpoints=run.checkpoints, **checked.settings("finetune_snn")
    )
    checked.assign(tuning, "Fine-tune the guide")
    return BenchmarkData(
        checked=checked,
        patches=patches,
        overviews=overviews,
        extractor=baseline.outputs["model"],
        guide=tuning.outputs["guide"],
        runs=plan.output,
        downstream_seeds=downstream_seeds,
    )


def score(data: BenchmarkData, benchmark_run: Any, generator: Any) -> Scoring:
    """Score a generator, and train classifiers on its patches only and together with the real ones."""
    checked = data.checked
    scores = score_generator(
        patches=data.patches,
        generator=generator,
        extractor=data.extractor,
        name=benchmark_run.title,
        **checked.settings("score_generator", seed=benchmark_run.seed),
    )
    checked.assign(scores, "Draw patches and score them")
    training = {
        "patches": data.patches,
        "synthetic": scores.outputs["samples"],
        "seeds": data.downstream_seeds,
        "checkpoints": checked.run.checkpoints,
        **checked.settings("train_classifier"),
    }
    synthetic_arm = train_classifier(arm=benchmark_run.arm, use="synthetic", **training)
    checked.assign(synthetic_arm, "Train on synthetic patches")
    both_arm = train_classifier(arm=benchmark_run.both, use="both", **training)
    checked.assign(both_arm, "Train on real and synthetic patches")
    return Scoring(scores, synthetic_arm, both_arm)


def conclude(data: BenchmarkData, scoring: Scoring, generator: Any) -> Outputs:
    """Compare all runs, after the loop over them.

    Args:
        data: the common inputs of all runs.
        scoring: the tasks of a run.
        generator: the output of the task that trained a run's generator.
    """
    board = leaderboard(
        patches=data.patches,
        baseline=data.extractor,
        guide=data.guide,
        scores=dsl.Collected(scoring.scores.outputs["scores"]),
        arms=dsl.Collected(scoring.synthetic_arm.outputs["model"]),
        both_arms=dsl.Collected(scoring.both_arm.outputs["model"]),
        **data.checked.settings("leaderboard"),
    )
    data.checked.assign(board, "Compare and report")
    return Outputs(
        report=board.outputs["report"],
        metrics=board.outputs["results"],
        patches=data.patches,
        overviews=data.overviews,
        baseline=data.extractor,
        guide=data.guide,
        generators=dsl.Collected(generator),
        samples=dsl.Collected(scoring.scores.outputs["samples"]),
        arms=dsl.Collected(scoring.synthetic_arm.outputs["model"]),
        both=dsl.Collected(scoring.both_arm.outputs["model"]),
    )
