"""The component `scan_source`."""

from typing import NamedTuple

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("scan_source"), install_kfp_package=False)
def scan_source(
    source: str,
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    patch_size: str = "",
    slide_mpp: float = 0.0,
    seeds: int = 0,
    seed: int = 0,
    preset: str = "",
    overrides: dict = {},
    fixed: dict = {},
    cpu: str = "",
    cpu_cutting: str = "",
    cpu_training: str = "",
    cpu_evaluating: str = "",
    memory: str = "",
    memory_cutting: str = "",
    memory_training: str = "",
    memory_evaluating: str = "",
) -> NamedTuple(
    "Scan",
    [
        ("Output", str),
        ("preprocess_overrides", dict),
        ("finetune_snn_overrides", dict),
        ("train_generator_overrides", dict),
        ("select_samples_overrides", dict),
        ("train_classifier_overrides", dict),
        ("score_generator_overrides", dict),
        ("leaderboard_overrides", dict),
        ("evaluate_overrides", dict),
        ("publish_model_overrides", dict),
        ("cpu_for_cutting", str),
        ("cpu_for_training", str),
        ("cpu_for_evaluating", str),
        ("memory_for_cutting", str),
        ("memory_for_training", str),
        ("memory_for_evaluating", str),
    ],
):
    """Check a pipeline's settings and list its source, before anything long starts.

    Never cache it: its digest is what makes new slides under the same location run the pipeline anew.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        patch_size: as preprocess has it; '' as the preset says.
        slide_mpp: as preprocess has it; 0 as the preset says.
        seeds: as train_classifier has it; 0 as the preset says.
        seed: of all random choices.
        preset: name of a preset; '' for none.
        overrides: 'step.parameter' to value, for any step of the pipeline.
        fixed: what the pipeline sets itself, which no override may change, by step; false: another task checks it.
        cpu: cores of a task, such as '8'.
        cpu_cutting: cores of preprocess; '' as cpu.
        cpu_training: cores of finetune_snn, train_generator and train_classifier; '' as cpu.
        cpu_evaluating: cores of tasks that select, score, evaluate or publish; '' as cpu.
        memory: memory of a task, such as '32Gi'.
        memory_cutting: memory of preprocess; '' as memory.
        memory_training: memory of finetune_snn, train_generator and train_classifier; '' as memory.
        memory_evaluating: memory of tasks that select, score, evaluate or publish; '' as memory.

    Returns:
        metrics: number and size of the files.
        summary: what lies at the source.
        Output: digest over the names, sizes and versions of all files there.
        preprocess_overrides: the overrides of preprocess alone; a change of another step's leaves them as they are.
        finetune_snn_overrides: those of finetune_snn.
        train_generator_overrides: those of train_generator.
        select_samples_overrides: those of select_samples.
        train_classifier_overrides: those of train_classifier.
        score_generator_overrides: those of score_generator.
        leaderboard_overrides: those of leaderboard.
        evaluate_overrides: those of evaluate.
        publish_model_overrides: those of publish_model.
        cpu_for_cutting: cpu_cutting, or cpu where that is empty.
        cpu_for_training: cpu_training, or cpu.
        cpu_for_evaluating: cpu_evaluating, or cpu.
        memory_for_cutting: memory_cutting, or memory where that is empty.
        memory_for_training: memory_training, or memory.
        memory_for_evaluating: memory_evaluating, or memory.
    """
    from histoforge.tasks.small_tasks import run_scan

    return run_scan(
        source,
        preset,
        overrides,
        {
            **fixed,
            "preprocess": {"patch_size": patch_size, "slide_mpp": slide_mpp, "seed": seed},
            "train_classifier": {**fixed.get("train_classifier", {}), "seeds": seeds},
        },
        {
            "cpu": cpu,
            "cpu_cutting": cpu_cutting,
            "cpu_training": cpu_training,
            "cpu_evaluating": cpu_evaluating,
            "memory": memory,
            "memory_cutting": memory_cutting,
            "memory_training": memory_training,
            "memory_evaluating": memory_evaluating,
        },
        metrics,
        summary,
    )
