"""The first task of every pipeline, which checks settings and source, and what the tasks after it take from it."""

from dataclasses import dataclass, replace
from typing import Any

from histoforge_components.scan_source.component import scan_source
from histoforge_pipelines import resources
from histoforge_pipelines.parameters import RunParameters
from kfp import dsl


@dataclass(frozen=True)
class Checked:
    """A run whose settings and source have been checked.

    Attributes:
        run: its parameters.
        scan: the task of `scan_source`.
        pool: placement of the heavy tasks, with the sizes that `scan_source` resolved.
        test_source: location of an external test; '' for none.
    """

    run: RunParameters
    scan: dsl.PipelineTask
    pool: resources.Pool
    test_source: Any = ""

    def settings(self, step: str, **more: Any) -> dict[str, Any]:
        """Return `seed`, `preset` and `overrides` of a step, updated by `more`.

        Each step gets its own overrides from `scan_source` if that has an output for them. Kubeflow looks up cached
        results by all inputs of a task, and a changed setting of the classifiers must not cut patches again.
        """
        overrides = self.scan.outputs.get(f"{step}_overrides", self.run.overrides)
        return {**self.run.settings, "overrides": overrides, **more}

    @property
    def cutting(self) -> dict[str, Any]:
        """The inputs that `cut_slides` and `preprocess` have in common."""
        digest = self.scan.outputs["Output"]
        cache = self.run.slide_cache
        return {"dataset_digest": digest, "slide_cache": cache, **self.run.slides, **self.settings("preprocess")}

    @property
    def shards(self) -> Any:
        """The shards of the slides, for a loop: each item has `shard`, its name, and `slides`."""
        return self.scan.outputs["shards"]

    @property
    def testing(self) -> dict[str, Any]:
        """The inputs of `evaluate` besides artifacts."""
        digest = self.scan.outputs["test_digest"]
        return {"test_source": self.test_source, "test_digest": digest, **self.settings("evaluate")}

    @property
    def folds(self) -> Any:
        """The folds to train on, for a loop: each item has `fold`, which is -1 without cross-validation."""
        return self.scan.outputs["folds"]

    @property
    def generators(self) -> Any:
        """The generators to train in each fold, for a loop: each item has `seed`."""
        return self.scan.outputs["generators"]

    @property
    def real_arms(self) -> Any:
        """The arms of real patches besides the baseline, for a loop: see `plan_study.plan_real_arms`."""
        return self.scan.outputs["real_arms"]

    def assign(self, task: dsl.PipelineTask, title: str) -> dsl.PipelineTask:
        """Set the resources and the title of a task; see `resources.assign`. One that other nodes train gets no GPU."""
        gpus = self.scan.outputs.get(f"{task.component_spec.name.replace('-', '_')}_gpus", self.pool.gpu_count)
        return resources.assign(task, replace(self.pool, gpu_count=gpus), title)


def check(
    run: RunParameters, test_source: Any = "", folds: Any = 0, generator_seeds: Any = 1, control_doses: Any = ()
) -> Checked:
    """Check the settings of all steps, the source and the external test, before any long task starts.

    Args:
        run: the pipeline's parameters.
        test_source: location of an external test; '' for none.
        folds: number of folds of a cross-validation; 0 leaves it to the preset.
        generator_seeds: number of generators to train in each fold.
        control_doses: numbers of held-back real patches in the positive control, as multiples of the number of
            synthetic patches.
    """
    scan = scan_source(
        seeds=run.seeds,
        test_source=test_source,
        fixed=dict(run.fixed),
        folds=folds,
        generator_seeds=generator_seeds,
        control_doses=list(control_doses) if isinstance(control_doses, tuple) else control_doses,
        shards=run.shards,
        encoders=run.encoders,
        **run.slides,
        **run.settings,
        gpu_count=run.pool.gpu_count,
        **run.pool.sizes,
    )
    resources.assign(scan, run.pool, "Check settings and source")
    return Checked(run, scan, run.pool.sized_by(scan), test_source)
