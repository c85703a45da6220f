"""Selective augmentation that runs by itself: where there are new slides, and with a gate before what is published."""

from histoforge_components.evaluate.component import evaluate
from histoforge_components.find_news.component import find_news
from histoforge_components.publish_model.component import publish_model
from histoforge_components.record_source.component import record_source
from histoforge_components.scan_source.component import scan_source
from histoforge_components.train_classifier.component import train_classifier
from histoforge_pipelines import resources
from histoforge_pipelines.selective_augmentation import FIXED, generate_and_select
from histoforge_pipelines.step_settings import StepSettings
from kfp import dsl


@dsl.pipeline(name="retraining", display_name="Retraining")
def retraining(
    source: str,
    state: str,
    models: str,
    model_name: str = "classifier",
    score: str = "accuracy",
    margin: float = 0.0,
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
):
    """Where the source has changed since the last time: selective augmentation, then the gate of the published model.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        state: folder or s3:// prefix that remembers what was trained on last.
        models: folder or s3:// prefix of the published models.
        model_name: what the classifier is published as.
        score: score of the test patients that champion and challenger are compared in.
        margin: how much worse than the champion the challenger may be; 0 lets only a better one pass.
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
    everything = {"seed": seed, "preset": preset, "overrides": overrides}
    slides = {"source": source, "patch_size": patch_size, "slide_mpp": slide_mpp}
    scan = scan_source(seeds=seeds, fixed=FIXED, **slides, **everything, **pool.sizes)
    resources.assign(scan, pool, "Check settings and source")
    pool = pool.sized_by(scan)
    settings = StepSettings(scan, preset, seed)
    places = {"state": state, "models": models, "checkpoints": checkpoints}
    news = find_news(dataset_digest=scan.outputs["Output"], seeds=seeds, **places, **slides, **everything)
    resources.assign(news, pool, "Look for new slides")

    with dsl.If(news.outputs["Output"] == True, name="New slides"):  # noqa: E712 - kfp records the comparison
        training = {"seeds": seeds, "checkpoints": checkpoints}
        made = generate_and_select(slides, training, settings, pool)
        selective = train_classifier(arm="selective", augmentation="none", synthetic=made.selected, **made.training)
        resources.assign(selective, pool, "Train with selected patches")
        judged = evaluate(
            patches=made.patches,
            baseline=made.baseline,
            selective=selective.outputs["model"],
            generator=made.generator,
            pool=made.pool,
            selected=made.selected,
            overviews=made.overviews,
            **settings.of("evaluate"),
        )
        resources.assign(judged, pool, "Evaluate and report")
        published = publish_model(
            patches=made.patches,
            challenger=selective.outputs["model"],
            results=judged.outputs["results"],
            models=models,
            name=model_name,
            score=score,
            margin=margin,
            **settings.of("publish_model"),
        )
        resources.assign(published, pool, "Publish where it is better")
        kept = record_source(record=news.outputs["record"], state=state)
        resources.assign(kept, pool, "Remember the source").after(published)
