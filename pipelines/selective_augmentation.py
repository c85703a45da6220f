"""From slides to a report that says whether selected synthetic patches helped (Xue et al. 2021)."""

from collections.abc import Mapping
from typing import Any, List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from histoforge_components.select_samples.component import select_samples
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import resources
from histoforge_pipelines.step_settings import StepSettings
from kfp import dsl

RULES = [{"arm": "gan", "rule": "random"}, {"arm": "single_filter", "rule": "distance"}]
FIXED = {
    "train_classifier": {"arm": "baseline", "augmentation": "none"},
    "select_samples": {"rule": "entropy_centroid"},
}


class Outputs(NamedTuple):
    """Outputs of the pipeline."""

    report: dsl.HTML
    metrics: dsl.Artifact
    patches: dsl.Dataset
    overviews: dsl.Dataset
    generator: dsl.Model
    pool: dsl.Dataset
    selected: dsl.Dataset
    baseline: dsl.Model
    traditional: dsl.Model
    arms: List[dsl.Model]
    selective: dsl.Model


class Made(NamedTuple):
    """Training parameters and artifacts that exist before the arms are compared."""

    training: Mapping[str, Any]
    patches: Any
    overviews: Any
    generator: Any
    pool: Any
    selected: Any
    baseline: Any


def generate_and_select(
    slides: Mapping[str, Any], training: Mapping[str, Any], settings: StepSettings, pool: resources.Pool
) -> Made:
    """The tasks from slides to selected patches, in whatever pipeline or branch this is called.

    Args:
        slides: inputs of `preprocess` besides digest, seed, preset and overrides.
        training: inputs of all trainings besides patches, seed, preset and overrides.
        settings: of all steps.
        pool: where the heavy tasks run.
    """
    cut = preprocess(dataset_digest=settings.scan.outputs["Output"], **slides, **settings.of("preprocess"))
    resources.assign(cut, pool, "Cut patches")
    patches = cut.outputs["patches"]
    training = {"patches": patches, **training, **settings.of("train_classifier")}
    baseline = train_classifier(arm="baseline", augmentation="none", **training)
    resources.assign(baseline, pool, "Train the baseline")
    extractor = baseline.outputs["model"]

    forge = train_generator(
        patches=patches,
        extractor=extractor,
        checkpoints=training["checkpoints"],
        **settings.of("train_generator"),
    )
    resources.assign(forge, pool, "Train HistoGAN")
    choice = select_samples(
        patches=patches,
        extractor=extractor,
        generator=forge.outputs["generator"],
        rule="entropy_centroid",
        **settings.of("select_samples"),
    )
    resources.assign(choice, pool, "Draw and select patches")
    artifacts = {**cut.outputs, **choice.outputs, "generator": forge.outputs["generator"], "baseline": extractor}
    return Made(training, *(artifacts[name] for name in Made._fields[1:]))


@dsl.pipeline(name="selective-augmentation", display_name="Selective synthetic augmentation")
def selective_augmentation(
    source: str,
    preset: str = "quickstart",
    patch_size: str = "",
    slide_mpp: float = 0.0,
    seeds: int = 0,
    seed: int = 0,
    overrides: dict = {},
    checkpoints: str = "",
    gpu_count: str = resources.GPU_COUNT,
    gpu_type: str = resources.GPU_TYPE,
    cpu: str = resources.CPU,
    cpu_cutting: str = resources.CPU_CUTTING,
    cpu_training: str = resources.CPU_TRAINING,
    cpu_evaluating: str = resources.CPU_EVALUATING,
    memory: str = resources.MEMORY,
    memory_cutting: str = resources.MEMORY_CUTTING,
    memory_training: str = resources.MEMORY_TRAINING,
    memory_evaluating: str = resources.MEMORY_EVALUATING,
    node_selector: dict = resources.NODE_SELECTOR,
    tolerations: list = resources.TOLERATIONS,
    storage_secret: str = resources.STORAGE_SECRET,
) -> Outputs:
    """Train HistoGAN on the patches of slides, keep the synthetic patches that help, and compare five classifiers.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        preset: a published or ready-made setting of all steps, such as 'quickstart'.
        patch_size: height and width of a patch, px: '96', or '256x128'; '' as the preset says.
        slide_mpp: resolution of slides whose file does not state it, um/px; 0 where it is not known.
        seeds: classifiers to train for each arm; 0 as the preset says.
        seed: of all random choices.
        overrides: 'step.parameter' to value, for any other parameter of any step.
        checkpoints: folder or s3:// prefix for checkpoints, so that a retried task goes on where it stopped.
        gpu_count: GPUs of a task; '0' for the processor alone.
        gpu_type: resource name of the GPU.
        cpu: cores of a task, unless one of the next three says otherwise.
        cpu_cutting: cores of tasks that cut patches; '' as cpu.
        cpu_training: cores of tasks that train; '' as cpu.
        cpu_evaluating: cores of tasks that select, score, evaluate or publish; '' as cpu.
        memory: memory of a task, in whole Gi or Mi, unless one of the next three says otherwise.
        memory_cutting: memory of tasks that cut patches; '' as memory.
        memory_training: memory of tasks that train; '' as memory.
        memory_evaluating: memory of tasks that select, score, evaluate or publish; '' as memory.
        node_selector: labels of the nodes to run on.
        tolerations: taints of nodes that may be run on, besides nvidia.com/gpu, which GPU tasks always tolerate.
        storage_secret: secret with accesskey, secretkey and endpoint of the S3 server; it need not exist.
    """
    pool = resources.Pool(
        gpu_count,
        gpu_type,
        cpu,
        memory,
        node_selector,
        tolerations,
        storage_secret,
        cpu_cutting,
        cpu_training,
        cpu_evaluating,
        memory_cutting,
        memory_training,
        memory_evaluating,
    )
    slides = {"source": source, "patch_size": patch_size, "slide_mpp": slide_mpp}
    scan = scan_source(seeds=seeds, fixed=FIXED, seed=seed, preset=preset, overrides=overrides, **slides, **pool.sizes)
    resources.assign(scan, pool, "Check settings and source")
    pool = pool.sized_by(scan)
    settings = StepSettings(scan, preset, seed)
    made = generate_and_select(slides, {"seeds": seeds, "checkpoints": checkpoints}, settings, pool)
    training = made.training

    with dsl.ParallelFor(RULES, name="Other rules") as other:
        chosen = select_samples(
            patches=made.patches,
            extractor=made.baseline,
            pool_in=made.pool,
            rule=other.rule,
            **settings.of("select_samples"),
        )
        resources.assign(chosen, pool, "Select patches")
        arm = train_classifier(arm=other.arm, augmentation="none", synthetic=chosen.outputs["selected"], **training)
        resources.assign(arm, pool, "Train with them")
    traditional = train_classifier(arm="traditional", augmentation="traditional", **training)
    resources.assign(traditional, pool, "Train with traditional augmentation")
    selective = train_classifier(arm="selective", augmentation="none", synthetic=made.selected, **training)
    resources.assign(selective, pool, "Train with selected patches")

    judged = evaluate(
        patches=made.patches,
        baseline=made.baseline,
        traditional=traditional.outputs["model"],
        arms=dsl.Collected(arm.outputs["model"]),
        selective=selective.outputs["model"],
        generator=made.generator,
        pool=made.pool,
        selected=made.selected,
        overviews=made.overviews,
        **settings.of("evaluate"),
    )
    resources.assign(judged, pool, "Evaluate and report")
    return Outputs(
        report=judged.outputs["report"],
        metrics=judged.outputs["results"],
        patches=made.patches,
        overviews=made.overviews,
        generator=made.generator,
        pool=made.pool,
        selected=made.selected,
        baseline=made.baseline,
        traditional=traditional.outputs["model"],
        arms=dsl.Collected(arm.outputs["model"]),
        selective=selective.outputs["model"],
    )
