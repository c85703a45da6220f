"""How many synthetic patches, from how large a pool, and for how few real ones (Xue et al. 2021, Fig. 12, Table 2)."""

from typing import List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.plan_cells.component import plan_cells
from histoforge_components.plan_fractions.component import plan_fractions
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from histoforge_components.select_samples.component import select_samples
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import resources
from histoforge_pipelines.step_settings import StepSettings
from kfp import dsl

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
    baseline: dsl.Model
    cells: List[dsl.Model]
    fraction_baselines: List[dsl.Model]
    fraction_selectives: List[dsl.Model]


@dsl.pipeline(name="augmentation-study", display_name="Augmentation study")
def augmentation_study(
    source: str,
    ratios: list = [0.5, 1.0],
    pool_multiples: list = [4.0, 8.0],
    fractions: list = [0.5],
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
    """Vary ratio and pool size of selective augmentation, and the number of real training patches.

    One pool is drawn and scored once, at the largest size, and every cell of ratio and pool chooses from it. For each
    fraction of the training patches, baseline, generator, selection and selective arm are made anew.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        ratios: kept patches for each real training patch (r); the paper has 0.4 to 1.0.
        pool_multiples: candidates for each real training patch; the paper has 2, 4, 6 and 8.
        fractions: parts of the training patches to train on; the paper has 0.03, 0.05, 0.1 and 0.2.
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
    cutting = {"dataset_digest": scan.outputs["Output"], **slides, **settings.of("preprocess")}
    training = {
        "augmentation": "none",
        "seeds": seeds,
        "checkpoints": checkpoints,
        **settings.of("train_classifier"),
    }
    generating = {"checkpoints": checkpoints, **settings.of("train_generator")}
    selecting = {"rule": "entropy_centroid", **settings.of("select_samples")}

    cells = plan_cells(ratios=ratios, pool_multiples=pool_multiples)
    resources.assign(cells, pool, "Plan ratios and pools")
    parts = plan_fractions(fractions=fractions)
    resources.assign(parts, pool, "Plan fractions")
    cut = preprocess(**cutting)
    resources.assign(cut, pool, "Cut patches").after(cells, parts)
    patches = cut.outputs["patches"]

    baseline = train_classifier(arm="baseline", patches=patches, **training)
    resources.assign(baseline, pool, "Train the baseline")
    extractor = baseline.outputs["model"]
    forge = train_generator(patches=patches, extractor=extractor, **generating)
    resources.assign(forge, pool, "Train HistoGAN")
    drawn = select_samples(
        patches=patches,
        extractor=extractor,
        generator=forge.outputs["generator"],
        pool_multiple=cells.outputs["largest_pool"],
        **selecting,
    )
    resources.assign(drawn, pool, "Draw and score the largest pool")

    with dsl.ParallelFor(cells.outputs["Output"], name="Ratios and pools", parallelism=resources.AT_ONCE) as cell:
        chosen = select_samples(
            patches=patches,
            extractor=extractor,
            pool_in=drawn.outputs["pool"],
            ratio=cell.ratio,
            pool_multiple=cell.pool_multiple,
            **selecting,
        )
        resources.assign(chosen, pool, "Select patches")
        arm = train_classifier(arm=cell.arm, patches=patches, synthetic=chosen.outputs["selected"], **training)
        resources.assign(arm, pool, "Train with them")

    with dsl.ParallelFor(parts.output, name="Fractions", parallelism=resources.AT_ONCE) as part:
        few = preprocess(train_fraction=part.train_fraction, **cutting)
        resources.assign(few, pool, "Cut fewer patches")
        first = train_classifier(arm=part.baseline, patches=few.outputs["patches"], **training)
        resources.assign(first, pool, "Train the baseline on them")
        small = train_generator(patches=few.outputs["patches"], extractor=first.outputs["model"], **generating)
        resources.assign(small, pool, "Train HistoGAN on them")
        picked = select_samples(
            patches=few.outputs["patches"],
            extractor=first.outputs["model"],
            generator=small.outputs["generator"],
            **selecting,
        )
        resources.assign(picked, pool, "Draw and select patches")
        second = train_classifier(
            arm=part.selective, patches=few.outputs["patches"], synthetic=picked.outputs["selected"], **training
        )
        resources.assign(second, pool, "Train with selected patches")

    judged = evaluate(
        patches=patches,
        baseline=extractor,
        arms=dsl.Collected(arm.outputs["model"]),
        fraction_baselines=dsl.Collected(first.outputs["model"]),
        fraction_selectives=dsl.Collected(second.outputs["model"]),
        generator=forge.outputs["generator"],
        pool=drawn.outputs["pool"],
        overviews=cut.outputs["overviews"],
        **settings.of("evaluate"),
    )
    resources.assign(judged, pool, "Evaluate and report")
    return Outputs(
        report=judged.outputs["report"],
        metrics=judged.outputs["results"],
        patches=patches,
        overviews=cut.outputs["overviews"],
        generator=forge.outputs["generator"],
        pool=drawn.outputs["pool"],
        baseline=extractor,
        cells=dsl.Collected(arm.outputs["model"]),
        fraction_baselines=dsl.Collected(first.outputs["model"]),
        fraction_selectives=dsl.Collected(second.outputs["model"]),
    )
