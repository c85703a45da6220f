"""A method is added by its package and one entry of the registry, as docs/extending.md describes."""

import html
import re

import pytest
from docs_examples import run_python, write_example

REGISTER = """
import histoforge.generators
histoforge.generators.__path__.append({packages!r})
from histoforge.generators.methods import METHODS, Method
from histoforge.generators.tint.config import TintConfig
METHODS.register({entry})
"""
RUN = """
from histoforge.cli import main
from scoring_parts import train_arm, write_patches

def run(*arguments):
    try:
        main(list(arguments))
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)

write_patches(folder / "patches")
train_arm(folder / "baseline", folder / "patches")
inputs = ["--patches", str(folder / "patches"), "--extractor", str(folder / "baseline")]
tiny = ["--device", "cpu", "--preset", "", "--set", "epochs=2", "--set", "epoch_steps=3", "--set", "batch_size=8"]
run("train-generator", *inputs, *tiny, "--method", "tint", "--out", str(folder / "generator"))
scoring = ["--device", "cpu", "--count", "40", "--map-patches", "20", "--neighbours", "3", "--preset", ""]
run("score-generator", *inputs, *scoring, "--generator", str(folder / "generator"), "--out", str(folder / "scored"))
board = ["--device", "cpu", "--map-patches", "20", "--preset", "", "--patches", str(folder / "patches")]
run("leaderboard", *board, "--scores", str(folder / "scored" / "scores"), "--out", str(folder / "board"))
"""


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    """Code that registers the method of the docs."""
    folder = tmp_path_factory.mktemp("packages")
    entry = write_example("A method", folder)
    (folder / "generators" / "tint" / "__init__.py").touch()
    return REGISTER.format(packages=str(folder / "generators"), entry=entry)


def test_help_lists_the_method_and_its_parameters(register):
    code = register + "from histoforge.cli import main\nmain(['train-generator', '--help'])"
    text = " ".join(run_python(code).split())
    assert re.search(r"--method .*stylegan2\W+tint", text)
    assert "Settings of tint" in text
    assert "standard deviation of the noise: 0.1 or 0.3 (weak for tint)" in text


def test_trained_scored_and_ranked_it_is_on_the_leaderboard(register, tmp_path):
    run_python(f"{register}\nfrom pathlib import Path\nfolder = Path({str(tmp_path)!r})\n{RUN}")
    assert (tmp_path / "generator" / "model.safetensors").is_file()
    assert '"method": "tint"' in (tmp_path / "generator" / "model.json").read_text()
    assert '"tint:weak"' in (tmp_path / "board" / "leaderboard.json").read_text()
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    assert "tint:weak" in page
    assert "The effect of the noise" in page
    assert "The only variant of tint compared here is 'weak', the control" in html.unescape(page)


def test_the_component_and_the_benchmark_list_it(register, tmp_path):
    code = f"""{register}
from histoforge_components.train_generator.component import train_generator
from histoforge_pipelines.generator_benchmark import generator_benchmark
from histoforge_pipelines.readme import component_readme
from kfp.compiler import Compiler
Compiler().compile(generator_benchmark, {str(tmp_path / "pipeline.yaml")!r})
print(component_readme("train_generator", train_generator))
"""
    readme = run_python(code)
    assert re.search(r"\| `method` \|.*tint", readme)
    assert re.search(r"\| `noise` \|.*weak for tint", readme)
    assert re.search(r"defaultValue:[^:]*- tint\n", (tmp_path / "pipeline.yaml").read_text())


def test_a_benchmark_plans_its_variants(register):
    code = f"""{register}
from histoforge.steps.train_generator_config import TrainGeneratorConfig
from histoforge.tasks.plan_benchmark import plan_benchmark
print(*(run["title"] for run in plan_benchmark(["tint:strong", "tint", "dcgan"], 1, 0, "", {{}})))
print(TrainGeneratorConfig.make({{"method": "tint", "reward": "strong"}}).noise)
"""
    assert run_python(code).splitlines() == ["tint:strong tint:weak dcgan", "strong"]


def test_a_guided_method_gets_the_guide(register, tmp_path):
    code = f"""{register}
import dataclasses
from pathlib import Path
import histoforge.generators.tint.train as tint
train_unguided = tint.train
def train(*arguments, guide):
    print(guide.info.kind)
    return train_unguided(*arguments)
tint.train = train
METHODS.register(dataclasses.replace(METHODS["tint"], name="guided_tint", guided=True))

from histoforge.core.errors import SettingsError
from histoforge.steps import train_generator
from histoforge.steps.train_generator_config import TrainGeneratorConfig
from tiny_guide import save_random_guide
from two_pictures import make_patchset
folder = Path({str(tmp_path)!r})
patches = make_patchset(folder / "patches")
values = {{"method": "guided_tint", "device": "cpu", "epochs": 1, "batch_size": 8, "noise": "strong"}}
config = TrainGeneratorConfig.make(values)
try:
    train_generator.run(config, patches=patches, generator=folder / "generator")
except SettingsError as error:
    print(error)
guide = save_random_guide(folder / "guide", size=16)
print(train_generator.run(config, patches=patches, guide=guide, generator=folder / "generator").method)
"""
    message, kind, method = run_python(code).splitlines()
    assert message.startswith("The method 'guided_tint' needs a guide")
    assert (kind, method) == ("guide", "guided_tint")
