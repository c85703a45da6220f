"""Components that need nothing but kfp, to show what a backend does with parameters, artifacts and failures."""

from typing import NamedTuple, Optional

from kfp import dsl

IMAGE = "python:3.11"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def show(
    text: str = "",
    number: float = 0.5,
    whole: int = 3,
    flag: bool = False,
    table: dict = {"n": 3},  # noqa: B006 - kfp reads it
    row: list = [1, 2.5],  # noqa: B006 - kfp reads it
) -> str:
    import json

    return json.dumps([text, number, whole, flag, table, row])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def plan() -> list:
    return [{"title": "a", "size": 1}, {"title": "b", "size": 2.5}]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def plan_parts(name: str) -> list:
    return [f"{name}{number}" for number in range(2)]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def make(model: dsl.Output[dsl.Model], name: str = "x", size: float = 1.0):
    with open(model.path, "w") as file:
        file.write(f"{name} {size} {type(size).__name__}")
    model.metadata.update({"name": name, "good": True, "sizes": [1, 2], "about": {"n": 3}})


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def look(model: dsl.Input[dsl.Model] = None) -> str:
    import json

    return "nothing" if model is None else json.dumps(model.metadata, sort_keys=True)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def join(models: dsl.Input[list[dsl.Model]]) -> str:
    return "; ".join(open(model.path).read() for model in models)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def log(metrics: dsl.Output[dsl.Metrics], value: str = "1"):
    metrics.log_metric("value", None if value == "null" else float(value))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def decide(answer: bool) -> NamedTuple("Decision", [("go", bool), ("count", int)]):
    return answer, 2


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fail(marks: str, times: int) -> int:
    import os
    import sys

    with open(marks, "a") as file:
        file.write("x")
    if os.path.getsize(marks) <= times:
        print("The slide 'a.svs' has no resolution: give slide_mpp.", file=sys.stderr)
        sys.exit(2)
    return int(os.environ["KFP_RETRY_INDEX"])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def count(number: Optional[int] = None) -> str:  # noqa: UP045 - kfp reads it
    return repr(number)
