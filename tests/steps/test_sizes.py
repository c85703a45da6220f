"""Cores and memory of a form, resolved for the tasks of each kind."""

import pytest

from histoforge.core.errors import SettingsError
from histoforge.tasks.sizes import resolve_sizes

FORM = {"cpu": "8", "memory": "32Gi"}


def test_an_empty_size_is_the_one_for_all_tasks():
    assert resolve_sizes(FORM) == ("8", "8", "8", "32Gi", "32Gi", "32Gi")


def test_each_size_replaces_its_own():
    form = {**FORM, "cpu_cutting": "2", "memory_training": "64Gi", "memory_evaluating": "16Gi", "cpu_training": ""}
    assert resolve_sizes(form) == ("2", "8", "8", "32Gi", "64Gi", "16Gi")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("memory_training", "64", "'memory_training' is '64', which is no whole amount of memory: write it as '32Gi'."),
        ("memory", "1.5Gi", "whole amount of memory"),
        ("memory", "32GB", "whole amount of memory"),
        ("cpu_cutting", "eight", "'cpu_cutting' is 'eight', which is no number of cores: write it as '8'."),
        ("cpu", "0", "number of cores"),
    ],
)
def test_a_wrong_size_is_one_sentence(name, value, words):
    with pytest.raises(SettingsError) as error:
        resolve_sizes({**FORM, name: value})
    assert words in str(error.value)
