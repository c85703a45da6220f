"""The common part of the pipelines `rleo` and `generator_benchmark`: all but the training of a run's generator."""

from dataclasses import dataclass
from typing import Any, List, NamedTuple

from histoforge_components.finetune_snn.component import finetune_snn
from histoforge_components.leaderboard.component import leaderboard
from histoforge_components.plan_benchmark.component import plan_benchmark
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from histoforge_components.score_generator.component import score_generator
from histoforge_components.train_classifier.component import train_classifier
from histoforge_pipelines import resources
from histoforge_pipelines.step_settings import StepSettings
from kfp import dsl

FIXED = {
    "train_classifier": {"arm": "baseline", "use": "real"},
    "train_generator": False,  # `plan_benchmark` checks it, for each method
}


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
class Form:
    """The parameters of a pipeline that are not about the cluster; see `generator_benchmark`."""

    source: Any
    methods: Any
    generator_seeds: Any
    downstream_seeds: Any
    preset: Any
    patch_size: Any
    slide_mpp: Any
    seeds: Any
    seed: Any
    overrides: Any
    checkpoints: Any


@dataclass(frozen=True)
class Start:
    """The common inputs of all runs.

    Attributes:
        patches, overviews: the data.
        extractor: the arm of the classifiers trained on real patches: the baseline, and the extractor that judges.
        guide: the siamese guide.
        runs: a list of `title`, `method`, `reward`, `seed`, `arm` and `both`, one entry per run.
        settings: settings of all steps.
        pool: placement of the heavy tasks, with the resolved sizes.
    """

    patches: Any
    overviews: Any
    extractor: Any
    guide: Any
    runs: Any
    settings: StepSettings
    pool: resources.Pool


@dataclass(frozen=True)
class Judged:
    """The tasks that evaluate a run's generator: its scores, and classifiers trained on its patches."""

    scored: dsl.PipelineTask
    alone: dsl.PipelineTask
    both: dsl.PipelineTask


def begin(form: Form, pool: resources.Pool) -> Start:
    """Check everything, cut patches, and train the guide and the classifiers on real patches."""
    everything = {"seed": form.seed, "preset": form.preset, "overrides": form.overrides}
    cutting = {"source": form.source, "patch_size": form.patch_size, "slide_mpp": form.slide_mpp}
    scan = scan_source(seeds=form.seeds, fixed=FIXED, **cutting, **everything, **pool.sizes)
    resources.assign(scan, pool, "Check settings and source")
    pool = pool.sized_by(scan)
    settings = StepSettings(scan, form.preset, form.seed)
    plan = plan_benchmark(
        methods=form.methods,
        generator_seeds=form.generator_seeds,
        downstream_seeds=form.downstream_seeds,
        patch_size=form.patch_size,
        **everything,
    )
    resources.assign(plan, pool, "Plan the generators")
    cut = preprocess(dataset_digest=scan.outputs["Output"], **cutting, **settings.of("preprocess"))
    resources.assign(cut, pool, "Cut patches").after(plan)
    patches, overviews = cut.outputs["patches"], cut.outputs["overviews"]
    baseline = train_classifier(
        arm="baseline",
        use="real",
        patches=patches,
        seeds=form.seeds,
        checkpoints=form.checkpoints,
        **settings.of("train_classifier"),
    )
    resources.assign(baseline, pool, "Train on real patches")
    snn = finetune_snn(
        patches=patches, overviews=overviews, checkpoints=form.checkpoints, **settings.of("finetune_snn")
    )
    resources.assign(snn, pool, "Fine-tune the guide")
    return Start(patches, overviews, baseline.outputs["model"], snn.outputs["guide"], plan.output, settings, pool)


def judge(form: Form, start: Start, run: Any, generator: Any) -> Judged:
    """Score a generator, and train classifiers on its patches only and together with the real ones."""
    scored = score_generator(
        patches=start.patches,
        generator=generator,
        extractor=start.extractor,
        name=run.title,
        **start.settings.of("score_generator", seed=run.seed),
    )
    resources.assign(scored, start.pool, "Draw patches and score them")
    training = {
        "patches": start.patches,
        "synthetic": scored.outputs["samples"],
        "seeds": form.downstream_seeds,
        "checkpoints": form.checkpoints,
        **start.settings.of("train_classifier"),
    }
    alone = train_classifier(arm=run.arm, use="synthetic", **training)
    resources.assign(alone, start.pool, "Train on synthetic patches")
    both = train_classifier(arm=run.both, use="both", **training)
    resources.assign(both, start.pool, "Train on real and synthetic patches")
    return Judged(scored, alone, both)


def conclude(start: Start, judged: Judged, generator: Any) -> Outputs:
    """Compare all runs, after the loop over them.

    Args:
        start: the common inputs of all runs.
        judged: the tasks of a run.
        generator: the output of the task that trained a run's generator.
    """
    board = leaderboard(
        patches=start.patches,
        baseline=start.extractor,
        guide=start.guide,
        scores=dsl.Collected(judged.scored.outputs["scores"]),
        arms=dsl.Collected(judged.alone.outputs["model"]),
        both_arms=dsl.Collected(judged.both.outputs["model"]),
        **start.settings.of("leaderboard"),
    )
    resources.assign(board, start.pool, "Compare and report")
    return Outputs(
        report=board.outputs["report"],
        metrics=board.outputs["results"],
        patches=start.patches,
        overviews=start.overviews,
        baseline=start.extractor,
        guide=start.guide,
        generators=dsl.Collected(generator),
        samples=dsl.Collected(judged.scored.outputs["samples"]),
        arms=dsl.Collected(judged.alone.outputs["model"]),
        both=dsl.Collected(judged.both.outputs["model"]),
    )
