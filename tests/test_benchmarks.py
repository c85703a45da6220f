"""The benchmarks time the trainings that ship."""

import sys
from pathlib import Path

import pytest

from histoforge.generators.dcgan import train as dcgan
from histoforge.generators.histogan import train as histogan
from histoforge.generators.methods import METHODS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
TINY = {"batch_size": 4, "epochs": 1, "epoch_steps": 3, "checkpoint_every": 0, "device": "cpu"}
NETWORKS = {
    "dcgan": {"generator_maps": 4, "discriminator_maps": 4},
    "histogan": {"base_channels": 8, "min_channels": 4, "critic_channels": 4, "critic_max_channels": 8, "up_blocks": 2},
}


@pytest.mark.parametrize(("method", "module"), [("dcgan", dcgan), ("histogan", histogan)])
def test_a_step_is_one_of_the_methods_own_training(method, module, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import shipped

    train, calls = module.train, []

    def noted(*arguments):
        calls.append(arguments)
        return train(*arguments)

    monkeypatch.setattr(module, "train", noted)
    patches = shipped.random_patches(tmp_path / "patches", 8, 16, classes=2)
    config = METHODS[method].config({**TINY, **NETWORKS[method]})
    seconds, generator, _ = shipped.seconds_per_step(method, config, patches)
    assert seconds > 0
    assert len(calls) == 1
    assert calls[0][0] is config
    assert generator.info.method == method
    for name in ("shipped", "timing"):
        sys.modules.pop(name, None)
