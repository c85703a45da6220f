"""Run the body of every component of the slim image where only the slim image's packages can be imported.

`python slim_tasks.py LOCK FOLDER`: LOCK lists the packages; FOLDER holds `images`, `slides` and `members`, two
generators of one class each. Prints the components that ran as JSON.
"""

import json
import re
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

LOCKED = re.compile(r"(?m)^([A-Za-z0-9._-]+)==")
SETTINGS = {
    "preprocess.patch_size": "16",
    "preprocess.overview_size": 32,
    "preprocess.split_ratios": "2:1:1",
    "preprocess.patient_pattern": "(p[0-9]+)-",
}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


class OnlyLocked:
    """An import hook that hides every package of this environment that the lock does not name."""

    def __init__(self, lock):
        names = {normal(name) for name in LOCKED.findall(Path(lock).read_text(encoding="utf-8"))} | {"histoforge"}
        self.hidden = {
            module
            for module, owners in packages_distributions().items()
            if not {normal(owner) for owner in owners} & names
        }

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.hidden:
            raise ModuleNotFoundError(f"No module named {name!r} in the slim image", name=name)


def run_all(folder):
    from kfp import dsl

    ran = []

    def run(name, outputs=(), **arguments):
        artifacts = {
            key: kind(name=key, uri=str(folder / f"{len(ran)}-{name}" / key)) for key, kind in dict(outputs).items()
        }
        function = getattr(import_module(f"histoforge_components.{name}.component"), name).python_func
        ran.append(name)
        return artifacts, function(**artifacts, **arguments)

    report = {"metrics": dsl.Metrics, "summary": dsl.Markdown}
    cut = {"patches": dsl.Dataset, "overviews": dsl.Dataset, **report}
    source = str(folder / "images")
    digest = run("scan_source", report, source=source, overrides=SETTINGS)[1]
    cutting = run("preprocess", cut, source=source, overrides=SETTINGS)[0]
    patches = cutting["patches"]
    run("plan_judge", source=source, synthetic=[source], overrides=SETTINGS)
    run("import_patches", {"synthetic": dsl.Dataset, **report}, source=source, patches=patches)
    run("check_split", patches=patches, images=cutting["overviews"])
    slides = {"patch_size": "32", "split_ratios": "1:1:1", "stain": "macenko", "overview_size": 32}
    cuts = run("cut_slides", {"cuts": dsl.Dataset, **report}, source=str(folder / "slides"), overrides=slides)[0]
    run("preprocess", cut, source=str(folder / "slides"), overrides=slides, cuts=[cuts["cuts"]])
    change = run("find_news", report, source=source, dataset_digest=digest, state=str(folder / "state"))[1]
    run("record_source", record=change[1], state=str(folder / "state"))
    run("plan_cells", {"metrics": dsl.Metrics}, ratios=[0.5], pool_multiples=[2.0])
    run("plan_fractions", fractions=[0.5])
    runs = run("plan_benchmark", methods=["dcgan"], generator_seeds=1, source=source, entrants=[source])[1]
    run("plan_unified", backbones=["resnet10", "resnet18"], patch_size="32")
    run("plan_pathup", patch_size="64", preset="quickstart")
    run("plan_seeds", method="vitgan", seeds=2)
    run("plan_classes", patches=patches, method=runs[0]["method"], reward=runs[0]["reward"])
    members = [dsl.Model(name=path.name, uri=str(path)) for path in sorted((folder / "members").iterdir())]
    run("join_generators", {"generator": dsl.Model, **report}, generators=members)
    unified = [dsl.Model(name=path.name, uri=str(path)) for path in sorted((folder / "unified").iterdir())]
    run("join_classifiers", {"model": dsl.Model, **report}, generators=unified)
    return ran


if __name__ == "__main__":
    sys.meta_path.insert(0, OnlyLocked(sys.argv[1]))
    import_module("kfp.dsl.executor_main")
    ran = run_all(Path(sys.argv[2]))
    print(json.dumps({"ran": sorted(set(ran)), "torch": "torch" in sys.modules}))
