"""The results of earlier calls of `histoforge run`: taken over by what made them, wherever the folder lies now.

kfp's own local cache keys a task by everything that it is passed and by the paths of its inputs, so that a setting of
one step, or moving the folder, would run every task anew.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.local import cache

from histoforge.core.digests import digest_json
from histoforge.core.errors import SettingsError
from histoforge.core.files import write_json
from histoforge.steps.registry import STEPS, Step, step_config

NO_INFLUENCE = {"checkpoints", "checkpoint_every", "workers"}
"""Settings that do not change what a step makes."""

NOT_CONTENT = {"preset", "display_name"}
"""Metadata of an artifact that say nothing of what is in it."""


class RunCache(cache.LocalCache):
    """Outputs of tasks, keyed by resolved settings, input digests and code; paths are kept relative to the folder.

    Args:
        cache_root: folder of the entries, one for each version of the code.
        folder: of the run; every artifact lies in it.
    """

    def __init__(self, cache_root: str, folder: Path) -> None:
        super().__init__(cache_root)
        self.folder = folder

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: dict[str, Any],
        env_vars: dict[str, str] | None = None,
        custom_cache_key: str | None = None,
    ) -> str:
        """Return a task's key; the environment, which sets threads alone, and the image have no part in it."""
        name = re.sub(r"-\d+$", "", component_name.removeprefix("comp-")).replace("-", "_")
        made_by = _settings(STEPS[name], arguments) if name in STEPS else arguments
        return digest_json([name, full_command, self._content(made_by)])

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the outputs of a task, or None where there are none or an artifact of theirs is gone."""
        try:
            entry = json.loads(Path(self._entry_path(key)).read_text(encoding="utf-8"))
            return self._deserialize_outputs(_with_paths(entry, self._absolute))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, cache._MissingArtifactError) as error:
            logging.info(f"The entry {key} of the cache cannot be used ({error}): the task is run anew.")
            return None

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep the outputs of a task."""
        write_json(Path(self._entry_path(key)), _with_paths(self._serialize_outputs(outputs), self._relative))

    def _content(self, value: Any) -> Any:
        """`value` as JSON, artifacts by what is in them or else by their place in the folder."""
        if isinstance(value, dsl.Artifact):
            if value.metadata.get("digest"):
                return {name: fact for name, fact in value.metadata.items() if name not in NOT_CONTENT}
            return self._relative(value.uri)
        if isinstance(value, Mapping):
            return {name: self._content(item) for name, item in value.items()}
        return [self._content(item) for item in value] if isinstance(value, list) else value

    def _relative(self, path: str) -> str:
        return path if "://" in path else os.path.relpath(path, self.folder)

    def _absolute(self, path: str) -> str:
        return path if "://" in path or not path else os.path.normpath(self.folder / path)


@contextmanager
def run_cache(folder: Path) -> Iterator[None]:
    """Let kfp's local runner, initialised in the block, use a `RunCache` of a run's folder."""

    class CacheOfFolder(RunCache):
        def __init__(self, cache_root: str) -> None:
            super().__init__(cache_root, folder)

    plain = cache.LocalCache
    cache.LocalCache = CacheOfFolder
    try:
        yield
    finally:
        cache.LocalCache = plain
        cache.reset_local_cache_singleton()


def _settings(step: Step, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A task's arguments with its settings resolved: preset, overrides and parameters as one set of values."""
    fields = step.config_class.model_fields
    given = {name: value for name, value in arguments.items() if name in fields}
    try:
        config = step_config(step, arguments.get("preset", ""), arguments.get("overrides") or {}, given)
    except SettingsError:  # which the task itself will say
        return dict(arguments)
    rest = {name: value for name, value in arguments.items() if name not in {*fields, "preset", "overrides"}}
    return {**rest, "settings": config.model_dump(mode="json", exclude=NO_INFLUENCE)}


def _with_paths(value: Any, change: Callable[[str], str]) -> Any:
    """A cache entry with the paths of its artifacts changed."""
    if isinstance(value, dict):
        entry = {name: _with_paths(item, change) for name, item in value.items()}
        return {**entry, "uri": change(value["uri"])} if cache._ARTIFACT_MARKER in value else entry
    return [_with_paths(item, change) for item in value] if isinstance(value, list) else value
