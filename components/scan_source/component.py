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
    test_source: str = "",
    seeds: int = 0,
    seed: int = -1,
    preset: str = "",
    overrides: dict = {},
    fixed: dict = {},
    folds: int = 0,
    generator_seeds: int = 1,
    control_doses: list = [],
    shards: int = 1,
    encoders: list = [],
    cpu: str = "",
    cpu_cutting: str = "",
    cpu_training: str = "",
    cpu_evaluating: str = "",
    memory: str = "",
    memory_cutting: str = "",
    memory_training: str = "",
    memory_evaluating: str = "",
    gpu_count: str = "",
) -> NamedTuple(
    "Scan",
    [
        ("Output", str),
        ("preprocess_overrides", dict),
        ("import_patches_overrides", dict),
        ("import_generator_overrides", dict),
        ("finetune_snn_overrides", dict),
        ("train_autoencoder_overrides", dict),
        ("train_generator_overrides", dict),
        ("train_upscaler_overrides", dict),
        ("select_samples_overrides", dict),
        ("synthesise_images_overrides", dict),
        ("train_classifier_overrides", dict),
        ("score_generator_overrides", dict),
        ("score_images_overrides", dict),
        ("leaderboard_overrides", dict),
        ("evaluate_overrides", dict),
        ("publish_model_overrides", dict),
        ("cpu_for_cutting", str),
        ("cpu_for_training", str),
        ("cpu_for_evaluating", str),
        ("memory_for_cutting", str),
        ("memory_for_training", str),
        ("memory_for_evaluating", str),
        ("train_generator_gpus", str),
        ("train_classifier_gpus", str),
        ("test_digest", str),
        ("folds", list),
        ("generators", list),
        ("real_arms", list),
        ("shards", list),
    ],
):
    """Check a pipeline's settings and list its source, before any long task starts.

    Do not cache it, because its digest makes the pipeline run again when slides at the same location change.

    Args:
        source: folder, or s3:// or minio:// prefix, of the slides or images.
        patch_size: patch size, as for preprocess; '' leaves it to the preset.
        slide_mpp: resolution of slides without one, as for preprocess; 0 if it is unknown.
        test_source: folder, or s3:// or minio:// prefix, of an external test, as for evaluate; '' for none.
        seeds: number of classifiers, as for train_classifier; 0 leaves it to the preset.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        preset: name of a preset; '' for none.
        overrides: values for parameters of the pipeline's steps, by 'step.parameter'.
        fixed: parameters that the pipeline sets itself and no override may change, by step; false if another task
            checks the step's settings.
        folds: number of folds of a cross-validation, as for preprocess; 0 leaves it to the preset.
        generator_seeds: number of generators to train in each fold, with the seeds seed, seed + 1, …
        control_doses: numbers of held-back real patches in the positive control, as multiples of the number of
            synthetic ones.
        shards: number of parts of about equal bytes into which the slides are divided, to be cut side by side; 0 for
            one per 32 GiB.
        encoders: files of encoders, as for score_generator and evaluate; [] leaves them to the preset and overrides.
        cpu: number of CPU cores of a task, such as '8'.
        cpu_cutting: cores of preprocess; '' for the value of cpu.
        cpu_training: cores of tasks that train; '' for the value of cpu.
        cpu_evaluating: cores of tasks that select, score, evaluate or publish; '' for the value of cpu.
        memory: memory of a task, such as '32Gi'.
        memory_cutting: memory of preprocess; '' for the value of memory.
        memory_training: memory of tasks that train; '' for the value of memory.
        memory_evaluating: memory of tasks that select, score, evaluate or publish; '' for the value of memory.
        gpu_count: number of GPUs of a task that computes itself.

    Returns:
        metrics: number and size of the files.
        summary: the files at the source as a table, with warnings about a split too small for a conclusion.
        Output: digest of the names, sizes and versions of all files there.
        preprocess_overrides: overrides of preprocess only, which do not change when another step's overrides change.
        import_patches_overrides: overrides of import_patches.
        import_generator_overrides: overrides of import_generator.
        finetune_snn_overrides: overrides of finetune_snn.
        train_autoencoder_overrides: overrides of train_autoencoder.
        train_generator_overrides: overrides of train_generator.
        train_upscaler_overrides: overrides of train_upscaler.
        select_samples_overrides: overrides of select_samples.
        synthesise_images_overrides: overrides of synthesise_images.
        train_classifier_overrides: overrides of train_classifier.
        score_generator_overrides: overrides of score_generator.
        score_images_overrides: overrides of score_images.
        leaderboard_overrides: overrides of leaderboard.
        evaluate_overrides: overrides of evaluate.
        publish_model_overrides: overrides of publish_model.
        cpu_for_cutting: cpu_cutting, or cpu if that is empty.
        cpu_for_training: cpu_training, or cpu.
        cpu_for_evaluating: cpu_evaluating, or cpu.
        memory_for_cutting: memory_cutting, or memory if that is empty.
        memory_for_training: memory_training, or memory.
        memory_for_evaluating: memory_evaluating, or memory.
        train_generator_gpus: gpu_count, or '0' if train_generator.nodes among the overrides makes other nodes train.
        train_classifier_gpus: the same of train_classifier.
        test_digest: digest of the names, sizes and versions of all files of the external test; '' if there is none.
        folds: the folds to train on, each with 'fold'; a single one with fold -1 without cross-validation.
        generators: the generators to train in each fold, each with 'seed'.
        real_arms: the arms of real patches besides the baseline to train in each fold, with the parameters of
            train_classifier in which they differ.
        shards: the parts of the slides, each with 'shard', its name, and 'slides', which cut_slides takes.
    """
    from histoforge.tasks.small_tasks import run_scan

    return run_scan(
        source,
        preset,
        overrides,
        {
            **fixed,
            "preprocess": {"patch_size": patch_size, "slide_mpp": slide_mpp, "seed": seed, "folds": folds},
            "evaluate": {"test_source": test_source},
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
        gpu_count,
        seed,
        generator_seeds,
        control_doses,
        shards,
        encoders,
        metrics,
        summary,
    )
