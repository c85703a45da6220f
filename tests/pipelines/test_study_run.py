"""The augmentation study from image folders to the report, through kfp's local runner."""

import json
from collections import Counter

from running import run
from tiny_study import SETTINGS

from histoforge.cli.run.planning import planned_run


def test_the_study_has_a_report_of_its_cells_and_fractions(source, tmp_path):
    lists = {"ratios": [0.5, 1], "pool_multiples": [2], "fractions": [0.5]}
    done = run("augmentation-study", source, tmp_path / "out", **lists)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(results["arms"]) == {
        "baseline",
        "traditional",
        "control",
        "control_0_5",
        "selective_r0_5_pool2n",
        "selective_r1_pool2n",
        "baseline_50pct",
        "selective_50pct",
    }
    planned = planned_run("augmentation-study", str(source), "", {**SETTINGS, **lists})
    ran = Counter(entry["title"] for entry in json.loads((tmp_path / "out" / "timings.json").read_text())["tasks"])
    assert {task.title: task.times for task in planned.tasks} == ran
