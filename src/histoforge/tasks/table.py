"""The components that are not steps: small tasks that plan and check a pipeline. Imports nothing heavy."""

from histoforge.core.registry import Registry
from histoforge.steps.step import Task
from histoforge.steps.table import STEPS

TASKS = Registry(
    "task",
    (
        Task(name="scan_source", reads_slides=True, side_effects=True),
        Task(name="plan_cells"),
        Task(name="plan_fractions"),
        Task(name="plan_benchmark", reads_slides=True, side_effects=True),
        Task(name="enter_generator", size="training", gpu=True, torch=True, hours=72, reads_slides=True),
        Task(name="plan_classes"),
        Task(name="plan_unified"),
        Task(name="plan_seeds"),
        Task(name="plan_judge", reads_slides=True, side_effects=True),
        Task(name="plan_pathup"),
        Task(name="check_split"),
        Task(name="find_news", side_effects=True),
        Task(name="record_source", side_effects=True),
    ),
)


def task_named(component: str) -> Task:
    """Return the entry of a component: a step or a small task.

    Args:
        component: name of its folder, or the name that kfp makes of it, with dashes.

    Raises:
        SettingsError: there is no such component.
    """
    name = component.replace("-", "_")
    return STEPS[name] if name in STEPS else TASKS.named(name)
