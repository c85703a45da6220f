"""Help: quick because it imports little, and complete because it is made from the settings."""

import subprocess
import sys

import pytest
from commands import call, program

from histoforge.steps.facts import facts
from histoforge.steps.registry import STEPS

HEAVY = {"torch", "kfp", "pandas", "numpy", "scipy", "matplotlib", "rich", "minio", "PIL"}
COMMANDS = [
    "preprocess", "train-generator", "select-samples", "train-classifier", "evaluate", "phantom", "run", "similar",
    "duplicates",
]  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command):
    code = f"""
import sys
from histoforge.cli import main
try:
    main({[command, "--help"] if command else ["--help"]!r})
except SystemExit:
    print("heavy:", *(set(sys.modules) & {HEAVY!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy:\n"), done.stdout[-300:]


@pytest.mark.parametrize("step", STEPS.values(), ids=lambda step: step.name)
def test_help_lists_every_parameter_with_bounds_unit_and_default(capsys, step):
    ended = call(capsys, step.name.replace("_", "-"), "--help")
    text = " ".join(ended.out.split())
    assert ended.code == 0
    for name, field in step.config_class.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description
        assert facts(field) in text.replace("- ", "-").replace("  ", " ") or facts(field) in text
    for port in (*step.inputs, *step.outputs):
        assert port.about in text


def test_every_command_is_listed(capsys):
    listed = call(capsys, "--help").out
    assert all(f"\n  {command} " in listed for command in [*COMMANDS, "inspect", "presets"])


def test_the_installed_program_says_its_version():
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    from histoforge import __version__

    assert done.stdout == f"histoforge {__version__}\n"


def test_facts_of_bounds_units_and_choices():
    fields = STEPS["preprocess"].config_class.model_fields
    assert facts(fields["mpp"]) == "um/px; 0.02 < x <= 50; default: 0.5"
    assert facts(fields["split_by"]) == "one of patient, slide; default: patient"
    assert facts(fields["source"]) == "required"
    assert facts(fields["drop_conflicts"]) == "default: no"
