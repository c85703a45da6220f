"""The table of public encoders in the documentation: each row builds a network of the published size."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from histoforge.classifiers.encoders.description import EncoderDescription
from histoforge.classifiers.encoders.network import FrozenEncoder

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"
MILLIONS = {"UNI": 303, "UNI2-h": 681, "Virchow2": 631, "H-optimus-0": 1135}
EMBEDDING = {"UNI": 1024, "UNI2-h": 1536, "Virchow2": 2560, "H-optimus-0": 1536}


def rows():
    lines = [
        line for line in PAGE.read_text().splitlines() if "](https://huggingface.co/" in line and "| `timm:" in line
    ]
    return {cells[0]: cells for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}


def test_the_page_lists_the_encoders():
    assert MILLIONS.keys() <= rows().keys()


@pytest.mark.parametrize("name", MILLIONS)
def test_a_row_of_the_page_builds_the_published_network(name):
    _, _, architecture, arguments, pooling, *_ = rows()[name]
    described = {
        "name": name,
        "architecture": architecture.strip("`"),
        "arguments": yaml.safe_load(arguments.strip("`")),
        "pooling": pooling.strip("`"),
        "weights": "w.bin",
        "sha256": "0" * 64,
        "input_size": 224,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    with torch.device("meta"):
        network = FrozenEncoder(EncoderDescription.model_validate(described))
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6) == MILLIONS[name]
    assert network.channels == EMBEDDING[name]


def test_the_example_of_the_page_is_a_description():
    (example,) = re.findall(r"```yaml\n(name: UNI\n.*?)```", PAGE.read_text(), re.DOTALL)
    described = yaml.safe_load(example) | {"sha256": "0" * 64}
    assert EncoderDescription.model_validate(described).name == "UNI"
