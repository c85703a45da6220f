"""The examples of docs/reuse.md: components loaded from a file and from an address into other pipelines."""

import contextlib
import io
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kfp import local
from kfp.compiler import Compiler
from tiny_study import SETTINGS, write_images

from histoforge.classifiers.arms import read_arm

ROOT = Path(__file__).resolve().parents[2]
FIRST, TRIED, SECOND, THIRD = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "reuse.md").read_text(), re.DOTALL)


class Quiet(SimpleHTTPRequestHandler):
    """Serves the repository."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def example():
    """Return the definitions of the examples, with this repository served in place of the published one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    published = re.search(r'BASE = "(.*)"', FIRST)[1]
    names = {}
    try:
        with contextlib.chdir(ROOT):
            for text in (FIRST, SECOND, THIRD):
                served = text.replace(published, f"http://127.0.0.1:{server.server_port}")
                exec(compile(served, "docs/reuse.md", "exec"), names)
    finally:
        server.shutdown()
        server.server_close()
    return names


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_components_by_address_and_by_file_run_in_a_foreign_pipeline(example, tmp_path):
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "kfp"))
    overrides = {name: value for name, value in SETTINGS.items() if name.startswith(("preprocess", "train_classifier"))}
    source = write_images(tmp_path / "images", per_class=16)
    with contextlib.redirect_stdout(io.StringIO()):
        arm = example["my_baseline"](source=str(source), overrides={**overrides, "train_classifier.seeds": 1}).output
    assert read_arm(Path(arm.path))["arm"] == "mine"


def test_a_component_with_its_resources_keeps_them_in_a_foreign_pipeline(example, tmp_path):
    import yaml

    Compiler().compile(example["my_generator"], str(tmp_path / "mine.yaml"))
    spec, platform = yaml.safe_load_all((tmp_path / "mine.yaml").read_text())
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train-generator"]
    assert settings["emptyDirMounts"][0]["mountPath"] == "/dev/shm"
    assert settings["tolerations"]
    assert int(settings["activeDeadlineSeconds"]) == 72 * 3600
    container = spec["deploymentSpec"]["executors"]["exec-train-generator"]["container"]
    assert (
        container["resources"]["accelerator"]["resourceCount"]
        == "{{$.inputs.parameters['pipelinechannel--gpu_count']}}"
    )
    given = spec["root"]["dag"]["tasks"]["train-generator-step"]["inputs"]["parameters"]
    assert given["memory"]["runtimeValue"]["constant"] == "64Gi"
    assert given["gpu_type"]["componentInputParameter"] == "gpu_type"


def test_the_way_to_try_it_is_how_it_is_tried_here():
    assert "local.init(local.SubprocessRunner(use_venv=False))" in TRIED
