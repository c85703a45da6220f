"""Run a step from Python, as the command line does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoforge.cli.outputs import claim_step, resolved_parent
from histoforge.core.settings import DEFAULT_PRESET
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.tasks import distributed_launch

PRESET = DEFAULT_PRESET
Settings = Mapping[str, Any]
"""Parameters of a step by name, as in `histoforge STEP --help` with underscores."""


def run_step(
    name: str,
    out: str | Path,
    inputs: Mapping[str, Any],
    *,
    given: Settings,
    settings: Settings | None,
    preset: str,
    overwrite: bool,
) -> Any:
    """Run a step, and return its summary.

    Args:
        name: name of the step.
        out: folder of its outputs.
        inputs: paths of its inputs, by keyword; those that are None are left out.
        given: parameters that the caller's own arguments set.
        settings: further parameters, by name.
        preset: name of a preset, or '' for the defaults of the step.
        overwrite: whether another result at `out` may be replaced.

    Raises:
        HistoforgeError: a setting or an input cannot be used, or `out` may not be written.
    """
    step = STEPS[name]
    values = {f"{name}.{key}": value for key, value in {**(settings or {}), **given}.items()}
    config = step_config(step, preset, values)
    folder = resolved_parent(Path(out))
    paths = {port.name: inputs.get(port.name) for port in step.inputs}
    paths |= {port.name: folder / port.file if port.file else folder for port in step.outputs}
    with claim_step(step, config, paths, folder, overwrite):
        return distributed_launch.run(step, config, paths)
