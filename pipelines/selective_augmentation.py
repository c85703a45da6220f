"""From slides to a report that says whether selected synthetic patches helped (Xue et al. 2021)."""

from typing import List, NamedTuple

from histoforge_components.evaluate.component import evaluate
from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from histoforge_components.select_samples.component import select_samples
from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines import resources
from kfp import dsl

RULES = [{"arm": "gan", "rule": "random"}, {"arm": "single_filter", "rule": "distance"}]
FIXED = {
    "train_classifier": {"arm": "baseline", "augmentation": "none"},
    "select_samples": {"rule": "entropy_centroid"},
}


class Outputs(NamedTuple):
    """What the pipeline hands on."""

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
    memory: str = resources.MEMORY,
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
        cpu: cores of a task.
        memory: memory of a task, in whole Gi or Mi.
        node_selector: labels of the nodes to run on.
        tolerations: taints of nodes that may be run on.
        storage_secret: secret with accesskey, secretkey and endpoint of the S3 server; it need not exist.
    """
    pool = resources.Pool(gpu_count, gpu_type, cpu, memory, node_selector, tolerations, storage_secret)
    common = {"seed": seed, "preset": preset, "overrides": overrides}

    scan = scan_source(source=source, patch_size=patch_size, slide_mpp=slide_mpp, seeds=seeds, fixed=FIXED, **common)
    resources.place(scan, pool, "Check settings and source")
    cut = preprocess(
        source=source, dataset_digest=scan.outputs["Output"], patch_size=patch_size, slide_mpp=slide_mpp, **common
    )
    resources.place(cut, pool, "Cut patches")
    patches = cut.outputs["patches"]
    training = {"patches": patches, "seeds": seeds, "checkpoints": checkpoints, **common}

    baseline = train_classifier(arm="baseline", augmentation="none", **training)
    resources.place(baseline, pool, "Train the baseline")
    extractor = baseline.outputs["model"]

    forge = train_generator(patches=patches, extractor=extractor, checkpoints=checkpoints, **common)
    resources.place(forge, pool, "Train HistoGAN")
    choice = select_samples(
        patches=patches,
        extractor=extractor,
        generator=forge.outputs["generator"],
        rule="entropy_centroid",
        **common,
    )
    resources.place(choice, pool, "Draw and select patches")

    with dsl.ParallelFor(RULES, name="Other rules") as other:
        chosen = select_samples(
            patches=patches, extractor=extractor, pool_in=choice.outputs["pool"], rule=other.rule, **common
        )
        resources.place(chosen, pool, "Select patches")
        arm = train_classifier(arm=other.arm, augmentation="none", synthetic=chosen.outputs["selected"], **training)
        resources.place(arm, pool, "Train with them")
    traditional = train_classifier(arm="traditional", augmentation="traditional", **training)
    resources.place(traditional, pool, "Train with traditional augmentation")
    selective = train_classifier(arm="selective", augmentation="none", synthetic=choice.outputs["selected"], **training)
    resources.place(selective, pool, "Train with selected patches")

    judged = evaluate(
        patches=patches,
        baseline=extractor,
        traditional=traditional.outputs["model"],
        arms=dsl.Collected(arm.outputs["model"]),
        selective=selective.outputs["model"],
        generator=forge.outputs["generator"],
        pool=choice.outputs["pool"],
        selected=choice.outputs["selected"],
        overviews=cut.outputs["overviews"],
        **common,
    )
    resources.place(judged, pool, "Evaluate and report")
    return Outputs(
        report=judged.outputs["report"],
        metrics=judged.outputs["results"],
        patches=patches,
        overviews=cut.outputs["overviews"],
        generator=forge.outputs["generator"],
        pool=choice.outputs["pool"],
        selected=choice.outputs["selected"],
        baseline=extractor,
        traditional=traditional.outputs["model"],
        arms=dsl.Collected(arm.outputs["model"]),
        selective=selective.outputs["model"],
    )
