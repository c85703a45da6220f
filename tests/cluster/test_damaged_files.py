"""Schedules, profiles and pipelines in damaged or hostile YAML files: one sentence."""

from pathlib import Path

import pytest

from histoforge.cluster.packages import open_package
from histoforge.cluster.schedules import read_schedules
from histoforge.core.errors import SettingsError

HOSTILE = {
    "not UTF-8": b"schedules: [\xff]",
    "deep": b"[" * 20_000,
    "a tag": b"schedules: !!python/object:os.system x",
    "a date that there is not": b"schedules:\n  - name: a\n    cron: 2024-13-45\n",
    "a circle": b"schedules: &a [*a]",
    "billions": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)),
    "half": b"schedules: [",
    "control characters": b"schedules: \x00",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_a_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(HOSTILE[kind])
    for read in (read_schedules, lambda file: open_package(str(file))):
        with pytest.raises(SettingsError) as error:
            read(path)
        assert "\n" not in str(error.value)
