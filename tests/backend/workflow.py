"""A run of a compiled pipeline, as Argo walks the workflow that the backend makes of it.

Reproduces backend/src/v2/compiler/argocompiler (argo.go, dag.go, container.go) of kubeflow/pipelines, one task at a
time; see docs/backend.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from backend.driver import Resolver, condition_holds, outputs, root_inputs
from backend.launcher import Launcher, PodDeleted, Runner, TaskFailed
from backend.metadata import BackendError, Execution, MetadataStore

Json = Any
STORE = "minio://mlpipeline/v2/artifacts"


@dataclass(frozen=True)
class Pipeline:
    """A compiled pipeline: the first document of its file."""

    spec: Mapping[str, Json]

    @classmethod
    def load(cls, path: Path) -> "Pipeline":
        """Read the file that kfp's compiler wrote."""
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return cls(next(yaml.load_all(path.read_text(encoding="utf-8"), Loader=loader)))

    def component(self, task: Mapping[str, Json]) -> Mapping[str, Json]:
        """The component of a task."""
        return self.spec["components"][task["componentRef"]["name"]]

    def executor(self, component: Mapping[str, Json]) -> Mapping[str, Json]:
        """The executor of a component: a `container` or an `importer`."""
        return self.spec["deploymentSpec"]["executors"][component["executorLabel"]]


class Run:
    """One run.

    Attributes:
        store: its metadata: executions and artifacts.
        launcher: its pods, with all attempts.
        root: the execution of the pipeline.
    """

    def __init__(
        self, pipeline: Pipeline, runner: Runner, folder: Path, objects: Path, retry_policy: str = "OnError"
    ) -> None:
        """Prepare a run.

        Args:
            pipeline: what to run.
            runner: runs the commands of tasks.
            folder: gets the pods.
            objects: the object store; several runs may share one.
            retry_policy: Argo's: 'OnError' retries deleted pods, which KFP ships; 'Always' exit statuses too.
        """
        self.pipeline, self.retry_policy = pipeline, retry_policy
        self.store = MetadataStore()
        self.launcher = Launcher(self.store, runner, folder, objects)
        name, number = pipeline.spec["pipelineInfo"]["name"], f"{id(self):032x}"
        self.artifacts_root = f"{STORE}/{name}/{number}"
        placeholders = {
            "{{$.pipeline_job_uuid}}": number,
            "{{$.pipeline_job_name}}": f"Run of {name}",
            "{{$.pipeline_job_resource_name}}": f"{name}-x7k2p",
        }
        self.resolver = Resolver(self.store, placeholders)
        self.root = self.store.create("dag", "")

    def start(self, arguments: Mapping[str, Json]) -> "Run":
        """Run all tasks, and return this run.

        Raises:
            TaskFailed: a task failed for good; the tasks after it were not started.
            BackendError: the backend refused the run, or failed at a task itself.
        """
        root = self.pipeline.spec["root"]
        self.root.inputs = root_inputs(root.get("inputDefinitions", {}).get("parameters", {}), arguments)
        self.root.dag_outputs = root["dag"].get("outputs", {})
        self._dag(self.root, root["dag"])
        self.root.state = "COMPLETE"
        return self

    def output(self, key: str) -> str:
        """The location of an output artifact of the pipeline."""
        (location,) = self.outputs(key)
        return location

    def outputs(self, key: str) -> list[str]:
        """The locations of an output of the pipeline that a loop makes."""
        artifacts = self.resolver.output(self.root, key, "artifacts")
        return [item["uri"] for item in (artifacts if isinstance(artifacts, list) else [artifacts])]

    def locations_of(self, parameter: str, key: str) -> list[str]:
        """The locations of an output of all tasks that have a parameter of some name."""
        return [
            self.store.artifacts[execution.output_artifacts[key] - 1].uri
            for execution in self.store.executions
            if execution.kind == "container" and parameter in execution.inputs and key in execution.output_artifacts
        ]

    def stored(self, key: str) -> Path:
        """Return the path of a pipeline's output artifact in the object store."""
        return self.launcher.stored(self.output(key))

    def _dag(self, dag: Execution, spec: Mapping[str, Json]) -> None:
        """Run the tasks of a DAG in an order that their dependencies allow; those after a skipped one are not run."""
        waiting, done = dict(spec["tasks"]), {}
        while waiting:
            ready = sorted(name for name, task in waiting.items() if _upstream(task) <= set(done))
            if not ready:
                raise BackendError(f"unknown producer task in DAG: {sorted(waiting)}")
            name = ready[0]
            task = waiting.pop(name)
            done[name] = all(done[producer] for producer in _upstream(task)) and self._task(dag, name, task)

    def _task(self, dag: Execution, name: str, task: Mapping[str, Json]) -> bool:
        """Run a task; returns whether it succeeded, and was not skipped by its condition."""
        component = self.pipeline.component(task)
        if "dag" not in component and "importer" in self.pipeline.executor(component):
            importer = self.pipeline.executor(component)["importer"]
            self.launcher.import_artifact(dag, name, task, component, importer)
            return True
        inputs = self.resolver.inputs(dag, task, component, None)
        condition = task.get("triggerPolicy", {}).get("condition", "")
        triggered = not condition or condition_holds(condition, inputs["parameterValues"])
        execution = self._execution(dag, name, component, inputs)
        if not triggered:
            execution.state = "CANCELED"
            return False
        if "parameterIterator" in task:
            self._loop(execution, name, task, component, inputs)
        elif "dag" in component:
            self._dag(execution, component["dag"])
        else:
            self._container(execution, task, component, inputs)
        execution.state = "COMPLETE"
        return True

    def _execution(
        self, dag: Execution, name: str, component: Mapping[str, Json], inputs: Mapping[str, Json], **more: Json
    ) -> Execution:
        return self.store.create(
            "dag" if "dag" in component else "container",
            name,
            parent=dag.id,
            inputs=inputs["parameterValues"],
            input_artifacts={
                key: [int(item["name"]) for item in listed["artifacts"]] for key, listed in inputs["artifacts"].items()
            },
            dag_outputs=component.get("dag", {}).get("outputs", {}),
            **more,
        )

    def _loop(
        self,
        head: Execution,
        name: str,
        task: Mapping[str, Json],
        component: Mapping[str, Json],
        inputs: dict[str, Json],
    ) -> None:
        head.iteration_count = len(self.resolver.items(task, inputs))
        for index in range(head.iteration_count):
            resolved = self.resolver.inputs(head, task, component, index)
            iteration = self._execution(head, name, component, resolved, iteration_index=index)
            self._dag(iteration, component["dag"])
            iteration.state = "COMPLETE"

    def _container(
        self,
        execution: Execution,
        task: Mapping[str, Json],
        component: Mapping[str, Json],
        inputs: Mapping[str, Json],
    ) -> None:
        """Run attempts at a task until one ends well; the driver provisions its outputs once for all of them."""
        container = self.pipeline.executor(component)["container"]
        executor_input = {
            "inputs": inputs,
            "outputs": outputs(self.artifacts_root, execution.task, component),
        }
        retries = int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        for retry in range(retries + 1):
            try:
                return self.launcher.launch(execution, executor_input, component, container, retry)
            except PodDeleted:
                if retry == retries:
                    raise
            except TaskFailed:
                if self.retry_policy == "OnError" or retry == retries:
                    raise


def _upstream(task: Mapping[str, Json]) -> set[str]:
    """The tasks that a task waits for: those it names, and those whose outputs it takes (addImplicitDependencies)."""
    inputs = task.get("inputs", {})
    specs = (*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values())
    outputs = [spec.get("taskOutputParameter") or spec.get("taskOutputArtifact") for spec in specs]
    return {*task.get("dependentTasks", []), *(output["producerTask"] for output in outputs if output)}
