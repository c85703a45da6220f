"""Run the small components that check and plan a pipeline; `tasks.table.TASKS` lists them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from histoforge.core.progress import say
from histoforge.steps.settings import step_overrides
from histoforge.steps.table import STEPS
from histoforge.tasks.task_outputs import TASK, Artifact, MetricsArtifact, log_numbers, markdown_table, write_report
from histoforge.tasks.task_process import task_process


def run_scan(
    source: str,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Any] | bool],
    sizes: Mapping[str, str],
    gpu_count: str,
    seed: int,
    generator_seeds: int,
    control_doses: Sequence[float],
    shards: int,
    encoders: Sequence[str],
    metrics: MetricsArtifact,
    summary: Artifact,
) -> tuple[Any, ...]:
    """Check a pipeline's settings and list its source.

    See `scan_source.run`, `scan_source.with_encoders`, `sizes.resolve_sizes`, `plan_folds` and `plan_shards`.

    Returns:
        The source's digest; the overrides of each step with `separate_overrides`, in the order of `STEPS`; the sizes;
        the GPUs of tasks that may leave the training to other nodes; the digest of the external test source; the folds;
        the generators of each fold; the arms of real patches of each fold; the shards of the slides.
    """
    from histoforge.tasks import scan_source
    from histoforge.tasks.plan_folds import plan_controls, plan_folds, plan_generators
    from histoforge.tasks.plan_shards import plan_shards
    from histoforge.tasks.sizes import ON_NODES, plans_nodes, resolve_sizes

    with task_process("scan_source") as meter:
        overrides = scan_source.with_encoders(overrides, encoders)
        resolved = resolve_sizes(sizes)
        folds = plan_folds(source, preset, overrides, given)
        generators = plan_generators(generator_seeds, seed, preset, overrides, given, len(folds))
        real_arms = plan_controls(control_doses, preset, overrides, given)
        result = scan_source.run(source, preset, overrides, given)
        parts = plan_shards(source, shards, preset, overrides, given)
        say(f"{result.source} contains {result.files} files, {result.bytes / 1e6:.1f} MB")
        if len(parts) > 1:
            say(f"the slides are cut in {len(parts)} shards")
        for warning in result.warnings:
            say(f"warning: {warning}")
        values = result.model_dump()
        write_report(metrics, summary, values, markdown_table("scan_source", values), meter)
    overrides_of_steps = (step_overrides(step, overrides) for step in STEPS.values() if step.separate_overrides)
    gpus = ["0" if plans_nodes(STEPS[name], preset, overrides) else gpu_count for name in ON_NODES]
    planned = (result.test_digest, folds, generators, real_arms, parts)
    return result.digest, *overrides_of_steps, *resolved, *gpus, *planned


def run_plan_cells(
    ratios: list[float], pool_multiples: list[float], generators: int, metrics: MetricsArtifact
) -> tuple[list[dict[str, Any]], float]:
    """List the cells of a study and its largest pool; see `plan_study.plan_cells`."""
    from histoforge.tasks.plan_study import plan_cells

    with task_process("plan_cells") as meter:
        cells = plan_cells(ratios, pool_multiples, generators)
        say(f"{len(cells)} cells of ratio and pool")
        log_numbers(metrics, {"cells": len(cells), TASK: meter.read().model_dump()})
    return cells, max(cell["pool_multiple"] for cell in cells)


def run_plan_fractions(fractions: list[float]) -> list[dict[str, Any]]:
    """List the fractions of a study; see `plan_study.plan_fractions`."""
    from histoforge.tasks.plan_study import plan_fractions

    with task_process("plan_fractions"):
        return plan_fractions(fractions)


def run_plan_benchmark(
    methods: list[str],
    generator_seeds: int,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
    downstream_seeds: int,
    patch_size: str = "",
    source: str = "",
    entrants: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """List the runs of a benchmark; see `plan_benchmark.plan_benchmark`."""
    from histoforge.tasks.plan_benchmark import plan_benchmark

    with task_process("plan_benchmark"):
        runs = plan_benchmark(
            methods, generator_seeds, seed, preset, overrides, downstream_seeds, patch_size, source, entrants
        )
        say(f"{len(runs)} generators: {', '.join(dict.fromkeys(run['title'] for run in runs))}")
    return runs


def run_plan_unified(
    part: str,
    backbones: list[str],
    ratios: list[float],
    networks: list[str],
    two_stages: str,
    seeds: int,
    patch_size: str,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> tuple[list[dict[str, Any]], str, list[str], float, float]:
    """List a part of the trainings of the pipeline `unified`; see `plan_unified.plan_unified`."""
    from histoforge.tasks.plan_unified import plan_unified

    with task_process("plan_unified"):
        plan = plan_unified(
            backbones,
            ratios,
            networks,
            two_stages,
            seeds=seeds,
            patch_size=patch_size,
            seed=seed,
            preset=preset,
            overrides=overrides,
        )
        items = plan.part(part)
        say(f"{part}: {', '.join(item['arm'] for item in items)}")
    return items, plan.baseline["backbone"], plan.baseline["factors"], max(plan.ratios), plan.pool_multiple


def run_plan_judge(
    source: str,
    synthetic: list[str],
    rules: list[str],
    folds: int,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> list[dict[str, str]]:
    """List the synthetic sets of the pipeline `judge`; see `plan_judge.plan_judge`."""
    from histoforge.tasks.plan_judge import plan_judge

    with task_process("plan_judge"):
        sets = plan_judge(source, synthetic, rules, folds=folds, seed=seed, preset=preset, overrides=overrides)
        say(f"{len(sets)} synthetic sets: {', '.join(each['title'] for each in sets)}")
    return sets


def run_plan_seeds(method: str, seed: int, seeds: int, overrides: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the trainings of one generator; see `plan_unified.plan_seeds`."""
    from histoforge.tasks.plan_unified import plan_seeds

    with task_process("plan_seeds"):
        return plan_seeds(method, overrides, seed, seeds)


def run_plan_pathup(
    backbones: list[str],
    baselines: list[str],
    upscalers: list[str],
    form: Mapping[str, Any],
    patch_size: str,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> tuple[Any, ...]:
    """Plan the tasks of the pipeline `pathup`; see `plan_pathup.plan_pathup`.

    Args:
        form: `gpu_count`, `gpu_type` and `node_selector` of the run, and the same of its drawings, as in
            `drawing_gpu_type`; empty ones are those of the run.

    Returns:
        The fields of the plan in their order, with one value per alignment, and the GPUs and nodes of drawings.
    """
    from histoforge.tasks.plan_pathup import plan_pathup

    with task_process("plan_pathup"):
        plan = plan_pathup(
            backbones, baselines, upscalers, patch_size=patch_size, seed=seed, preset=preset, overrides=overrides
        )
        say(f"large images of {plan.size} px, drawn in {1 + len(plan.drawings) + len(plan.upscalers)} ways")
        say(f"classifiers: {', '.join(item['backbone'] for item in plan.classifiers)}")
    placed = (form[f"drawing_{name}"] or form[name] for name in ("gpu_count", "gpu_type", "node_selector"))
    cutting = (plan.cutting, plan.cutting_images, plan.size)
    return *cutting, *plan.alignments.values(), plan.baselines, plan.drawings, plan.upscalers, plan.classifiers, *placed


def run_check_split(patches: Artifact, images: Artifact) -> None:
    """Check that two patch sets have the same patients in each split; see `patches.matching.check_same_split`."""
    from histoforge.patches.matching import check_same_split
    from histoforge.patches.patchset import PatchSet

    with task_process("check_split"):
        check_same_split(PatchSet.open(Path(patches.path)), PatchSet.open(Path(images.path)))
        say("the large images have the split of the patches")


def run_plan_classes(
    patches: Artifact, run: Mapping[str, Any], preset: str, overrides: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """List the trainings of one run; see `plan_benchmark.plan_classes`."""
    from histoforge.patches.description import read_info
    from histoforge.tasks.plan_benchmark import plan_classes

    with task_process("plan_classes"):
        return plan_classes(run, read_info(Path(patches.path)).classes, preset, overrides)


def run_find_news(
    source: str,
    dataset_digest: str,
    settings: Mapping[str, Any],
    state: str,
    locations: tuple[str, ...],
    summary: Artifact,
    metrics: MetricsArtifact,
) -> tuple[bool, str]:
    """Compare a source with its record; see `source_record.detect_changes`.

    If the run continues, the task first checks that it can write to `state` and to `locations` ('' for none).

    Returns:
        True if the run has something to do; the record as JSON.
    """
    from histoforge.storage import check_writable, open_location
    from histoforge.tasks.source_record import detect_changes

    with task_process("find_news") as meter:
        change = detect_changes(source, dataset_digest, settings, state)
        for location in filter(None, (state, *locations) if change.changed else ()):
            check_writable(open_location(location))
        say(change.reason)
        write_report(metrics, summary, {"changed": int(change.changed)}, f"{change.reason}\n", meter)
    return change.changed, json.dumps(change.record)


def run_record_source(record: str, state: str) -> str:
    """Store the record of a source, and return the dataset's digest; see `source_record.keep_record`."""
    from histoforge.tasks.source_record import keep_record

    with task_process("record_source"):
        content = json.loads(record)
        keep_record(content, state)
        say(f"{content['source']} is recorded at {state}")
    return str(content["dataset_digest"])
