"""Runs of whole pipelines on this machine, with kfp's local runner."""

import builtins
import contextlib
import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from histoforge.cli.outputs import resolved_parent
from histoforge.cli.run.console import Console, ToConsole, stopped_by_ctrl_c, usage_table
from histoforge.cli.run.folder import METRICS, REPORT, claimed_run
from histoforge.cli.run.report_timings import with_timings
from histoforge.cli.run.request import check_request
from histoforge.cli.run.spec_loops import loops_over, remove_loops_over
from histoforge.core.digests import digest_file, digest_json
from histoforge.core.documents import read_json
from histoforge.core.errors import HistoforgeError
from histoforge.core.files import atomic_file, write_json
from histoforge.core.progress import say
from histoforge.core.results import remove_work
from histoforge.tasks.task_log import RUN
from histoforge.tasks.timings_file import read_timings, write_timings

PLACE = {"fold": "fold", "generator_seed": "generator"}
"""Metadata by which the artifacts of one name are told apart, with the words for them in names of links."""
AT_ONCE = 2
"""Number of a loop's tasks that kfp's local runner runs at the same time."""


class RunError(HistoforgeError):
    """A task of a pipeline failed because of invalid input; the message is the task's."""


def run_pipeline(
    name: str, source: str, out: Path, preset: str, overrides: dict[str, Any], overwrite: bool = False
) -> None:
    """Run a pipeline and write `report.html` and `metrics.json` into `out`, with every artifact beside them.

    Finished results of an earlier call with the same settings, source and code are reused, and a stopped training
    resumes from its checkpoint in `out/checkpoints`.

    Args:
        name: name of the pipeline.
        source: folder, or s3:// or minio:// prefix.
        out: the folder to write.
        preset: name of a preset.
        overrides: `step.parameter`, `parameter`, or a parameter that only the pipeline has, to value; `seed`
            and `seeds` are the pipeline's.
        overwrite: True if the report of a run with other settings in `out` may be replaced.

    Raises:
        HistoforgeError: if the settings or the source are wrong, or `out` contains something else (before anything
            starts), or if a task fails.
    """
    request = check_request(name, source, preset, overrides)
    pipeline = request.pipeline
    out = resolved_parent(Path(os.path.expanduser(out)))
    arguments = {"preset": preset, "overrides": request.overrides, **request.parameters}
    links = set(pipeline.component_spec.outputs or ()) - {"report", "metrics"}
    with claimed_run(out, {"pipeline": name, **arguments}, request.source, links, overwrite):
        _prepare(pipeline.pipeline_spec, request.folds, int(request.parameters["shards"]))
        _run_in(out.resolve(), name, pipeline, arguments)


def _run_in(out: Path, name: str, pipeline: Any, arguments: dict[str, Any]) -> None:
    started = time.monotonic()
    console = Console(out / "run.log", _titles(pipeline.pipeline_spec))
    try:
        arguments = {**arguments, "checkpoints": str(out / "checkpoints")}
        outputs = _execute(pipeline, arguments, out, console)
        write_timings(out, console.usage, console.cached)
        _collect(outputs, out)
        write_json(
            out / "run.json", {**arguments, "pipeline": name, "seconds": console.seconds, "cached": console.cached}
        )
        remove_work(out / "checkpoints")
        _report(out, console, time.monotonic() - started)
    finally:
        console.close()


def _execute(pipeline: Any, arguments: dict[str, Any], out: Path, console: Console) -> dict[str, Any]:
    """Run the pipeline with kfp's local runner, and return its outputs: artifacts or lists of them."""
    from histoforge.cli.run.cache import use_run_cache
    from histoforge.cli.run.kfp_loops import corrected_loops
    from histoforge.cli.run.task_processes import forked_tasks

    cache_root = out / "artifacts" / "cache" / code_digest()[:12]
    with _quiet(console), corrected_loops(), forked_tasks():
        from kfp import local

        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(out / "artifacts"),
            enable_caching=True,
            cache_root=str(cache_root),
        )
        use_run_cache(cache_root, out)
        with contextlib.redirect_stdout(console), stopped_by_ctrl_c(console):
            try:
                return dict(pipeline(**arguments).outputs)
            except RuntimeError:
                if console.stopped:
                    raise KeyboardInterrupt from None
                if console.error:
                    raise RunError(console.error) from None
                if console.failed:
                    console.show(f"{', '.join(console.failed)} failed; the complete output is in {out / 'run.log'}")
                    raise SystemExit(1) from None
                raise


def code_digest() -> str:
    """Return the SHA-256 over the package's files, because another version must not reuse the results of this one."""
    package = Path(__file__).resolve().parents[2]
    files = sorted(path for suffix in ("py", "yaml", "html", "css") for path in package.rglob(f"*.{suffix}"))
    return digest_json({path.relative_to(package).as_posix(): digest_file(path) for path in files})


def _prepare(spec: Any, folds: int, shards: int) -> None:
    """Adapt a pipeline to one machine: no retries, cores shared among the tasks of a loop, and one loop at a time.

    A single shard has no task: `preprocess` then cuts the slides itself, so that nothing is written twice.
    With a single split, the loop over the folds has one iteration: a task inside has all cores, and those of its loop
    over the arms of real patches run at the same time, because small networks gain nothing from several cores.
    """
    if shards == 1:
        remove_loops_over(spec, "shards")
    threads_set = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(threads_set) if threads_set.isdigit() and int(threads_set) else os.cpu_count() or 1
    alone = set(_tasks(spec.root.dag))
    side_by_side = [] if folds else loops_over(spec, "real_arms")
    if not folds:
        alone.update(*(_all_tasks(spec, loop.component_ref.name) for loop in loops_over(spec, "folds")))
        alone.difference_update(*(_all_tasks(spec, loop.component_ref.name) for loop in side_by_side))
    for component in [spec.root, *spec.components.values()]:
        for task in component.dag.tasks.values():
            task.ClearField("retry_policy")
            if component is not spec.root and task.HasField("parameter_iterator") and task not in side_by_side:
                task.iterator_policy.parallelism_limit = 1
    for name, component in spec.components.items():
        if not component.executor_label:
            continue
        container = spec.deployment_spec["executors"][component.executor_label]["container"]
        threads = cores if name in alone else max(1, cores // AT_ONCE)
        container.update({"env": [{"name": "OMP_NUM_THREADS", "value": str(threads)}]})


def _all_tasks(spec: Any, component: str) -> set[str]:
    """Return the components of all tasks below a sub-pipeline."""
    direct = _tasks(spec.components[component].dag)
    return {*direct, *(name for task in direct for name in _all_tasks(spec, task))}


def _titles(spec: Any) -> dict[str, str]:
    """Return the UI's names of tasks, by kfp's own."""
    dags = [spec.root.dag, *(component.dag for component in spec.components.values())]
    return {name: task.task_info.name or name for dag in dags for name, task in dag.tasks.items()}


def _tasks(dag: Any) -> list[str]:
    return [task.component_ref.name for task in dag.tasks.values()]


@contextlib.contextmanager
def _quiet(console: Console) -> Iterator[None]:
    """Send kfp's warnings and log records to the log file, and set the variable by which tasks know their run."""
    handler, root = ToConsole(console), logging.getLogger()
    level, plain_print = root.level, builtins.print
    os.environ[RUN] = str(os.getpid())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        builtins.print = plain_print  # two concurrent tasks leave kfp's own in its place
        os.environ.pop(RUN, None)


def _collect(outputs: dict[str, Any], out: Path) -> None:
    """Write the report, with the timings, and the results into `out`, and a link to each other artifact."""
    for name, value in outputs.items():
        artifacts = value if isinstance(value, list) else [value]
        for number, artifact in enumerate(artifacts):
            path = Path(artifact.path)
            if name == "report":
                page = with_timings(path.read_text(encoding="utf-8"), read_timings(out))
                with atomic_file(out / REPORT) as temporary:
                    temporary.write_text(page, encoding="utf-8")
                continue
            if name == "metrics":
                with atomic_file(out / METRICS) as temporary:
                    shutil.copyfile(path, temporary)
                continue
            link = out / _link_name(name, number, artifacts, isinstance(value, list) and name.endswith("s"))
            if link.exists() and not link.is_symlink():
                say(f"{link} was not written by this run and was kept; the result of that name is {path}")
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(path, out))


def _link_name(name: str, number: int, artifacts: list[Any], numbered: bool) -> str:
    """Return the name of the link to one of an output's artifacts: that of its arm or of the output, where it is alone.

    Several of one name are told apart by fold and generator, or else by number.

    Args:
        name: name of the output.
        number: number of the artifact in it.
        artifacts: all of them.
        numbered: True if those that are not arms are numbered even where there is one, as in lists of any length.
    """
    names = [str(artifact.metadata.get("arm") or name) for artifact in artifacts]
    if numbered and names[number] == name:
        return f"{name}-{number}"
    if names.count(names[number]) == 1:
        return names[number]
    places = ["".join(_place(artifact.metadata)) for artifact in artifacts]
    labels = [f"{base}{place}" for base, place in zip(names, places, strict=True)]
    return labels[number] if labels.count(labels[number]) == 1 else f"{names[number]}-{number}"


def _place(metadata: Mapping[str, Any]) -> list[str]:
    return [f"-{part}-{int(metadata[key])}" for key, part in PLACE.items() if metadata.get(key) is not None]


def _report(out: Path, console: Console, seconds: float) -> None:
    for line in usage_table(console.seconds, console.usage):
        console.show(line)
    console.show(f"finished in {seconds:.0f} s")
    answer = read_json(out / "metrics.json")["answer"]
    print("\n".join([answer["headline"], *answer["lines"][:1], *answer.get("caveats", [])]))
    print(f"report:  {out / 'report.html'}\nmetrics: {out / 'metrics.json'}")
