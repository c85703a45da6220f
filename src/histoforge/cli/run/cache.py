"""Reuse the results of earlier calls of `histoforge run`, identified by their inputs, wherever the folder is now.

kfp's own local cache keys a task by everything that it is passed and by the paths of its inputs, so that changing
a setting of one step, or moving the folder, would run every task again.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from histoforge.core.digests import digest_json
from histoforge.core.documents import read_json
from histoforge.core.errors import HistoforgeError, SettingsError
from histoforge.core.files import write_json
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS, Step

NO_INFLUENCE = {"checkpoints", "checkpoint_every", "nodes", "workers", "slide_cache"}
"""Settings that do not change a step's result."""

ARTIFACT = "__kfp_artifact__"
"""The key that marks an artifact in an entry of kfp's cache."""

NOT_CONTENT = {"preset", "display_name"}
"""Metadata of an artifact that do not concern its content."""


class RunCache:
    """Outputs of tasks, keyed by resolved settings, input digests and code; paths are stored relative to the folder.

    It has the methods of `kfp.local.cache.LocalCache`.

    Args:
        cache_root: folder of the entries, with one folder per version of the code.
        folder: folder of the run, which contains every artifact.
    """

    def __init__(self, cache_root: Path, folder: Path) -> None:
        self.cache_root, self.folder = cache_root, folder

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: dict[str, Any],
        env_vars: dict[str, str] | None = None,
        custom_cache_key: str | None = None,
    ) -> str:
        """Return a task's key. It ignores the image, and the environment, which only sets threads."""
        name = re.sub(r"-\d+$", "", component_name.removeprefix("comp-")).replace("-", "_")
        resolved = _settings(STEPS[name], arguments) if name in STEPS else arguments
        return digest_json([name, full_command, self._content(resolved)])

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the outputs of a task, or None if there are none or one of their artifacts is gone."""
        from kfp.local.cache import LocalCache, _MissingArtifactError

        try:
            entry = read_json(self._file(key))
            return LocalCache._deserialize_outputs(_with_paths(entry, self._absolute))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, HistoforgeError, _MissingArtifactError) as error:
            logging.info(f"The entry {key} of the cache cannot be used ({error}): the task is run again.")
            return None

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Store the outputs of a task."""
        from kfp.local.cache import LocalCache

        write_json(self._file(key), _with_paths(LocalCache._serialize_outputs(outputs), self._relative))

    def _file(self, key: str) -> Path:
        return self.cache_root / f"{key}.json"

    def _content(self, value: Any) -> Any:
        """Return `value` as JSON, with artifacts identified by content, or else by their path in the folder."""
        from kfp import dsl

        if isinstance(value, dsl.Artifact):
            if value.metadata.get("digest"):
                return {key: item for key, item in value.metadata.items() if key not in NOT_CONTENT}
            return self._relative(value.uri)
        if isinstance(value, Mapping):
            return {name: self._content(item) for name, item in value.items()}
        return [self._content(item) for item in value] if isinstance(value, list) else value

    def _relative(self, path: str) -> str:
        return path if "://" in path else os.path.relpath(path, self.folder)

    def _absolute(self, path: str) -> str:
        return path if "://" in path or not path else os.path.normpath(self.folder / path)


def use_run_cache(cache_root: Path, folder: Path) -> None:
    """Make kfp's local runner, which has just been initialised with this `cache_root`, use a `RunCache`."""
    from kfp.local import cache

    cache._cache_singleton, cache._cache_singleton_root = RunCache(cache_root, folder), str(cache_root)


def _settings(step: Step, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's arguments with resolved settings: preset, overrides and parameters as one set of values."""
    fields = step.config_class.model_fields
    given = {name: value for name, value in arguments.items() if name in fields}
    try:
        config = step_config(step, arguments.get("preset", ""), arguments.get("overrides") or {}, given)
    except SettingsError:  # which the task itself will report
        return dict(arguments)
    other_arguments = {name: value for name, value in arguments.items() if name not in {*fields, "preset", "overrides"}}
    return {**other_arguments, "settings": config.model_dump(mode="json", exclude=NO_INFLUENCE)}


def _with_paths(value: Any, change: Callable[[str], str]) -> Any:
    """Return a cache entry with the paths of its artifacts changed."""
    if isinstance(value, dict):
        entry = {name: _with_paths(item, change) for name, item in value.items()}
        return {**entry, "uri": change(value["uri"])} if ARTIFACT in value else entry
    return [_with_paths(item, change) for item in value] if isinstance(value, list) else value
