"""`histoforge models`: list published models, show model cards, download a version, and roll back to one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histoforge.cli.outputs import OVERWRITE, check_folder, local_path, resolved_parent
from histoforge.core.claims import Output, claimed, command_digest, record, recorded
from histoforge.core.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from histoforge.models import ModelStore, Publication
    from histoforge.storage import Location

VARIABLE = "HISTOFORGE_MODELS"
MODELS = Annotated[
    str, typer.Option("--models", metavar="LOCATION", help=f"folder, or s3:// or minio:// prefix [default: {VARIABLE}]")
]
NAME = Annotated[str, typer.Argument(help="name under which the model is published")]
VERSION = Annotated[str, typer.Argument(help="version [default: the champion]")]


def add_models(app: typer.Typer) -> None:
    """Add the commands of `models` to `app`."""
    models = typer.Typer(help="List, show, download and roll back published models.", no_args_is_help=True)
    models.command("list")(list_models)
    models.command("show")(show)
    models.command("pull")(pull)
    models.command("rollback")(rollback)
    app.add_typer(models, name="models")


def list_models(
    name: Annotated[str, typer.Argument(help="list the versions of this model, and the history of its champion")] = "",
    models: MODELS = "",
) -> None:
    """List the published models, or the versions of one."""
    from histoforge.models import ModelStore, model_names

    if name:
        return _list_versions(_store(name, models))
    location = _location(models)
    names = model_names(location)
    if not names:
        print(f"Nothing is published at {location}.")
    for published in names:
        store = ModelStore(location, published)
        champion = store.champion()
        if champion is not None:
            print(f"{published:<24} {champion.version}  {champion.time}  {len(store.versions())} versions")


def show(name: NAME, version: VERSION = "", models: MODELS = "") -> None:
    """Show a model card."""
    store = _store(name, models)
    chosen = version or _champion(store).version
    print(f"{store}/{chosen}\n\n{store.card(chosen).as_markdown()}", end="")


def pull(
    name: NAME,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="folder to create, with model/ and README.md")],
    version: VERSION = "",
    models: MODELS = "",
    overwrite: OVERWRITE = False,
) -> None:
    """Download a version with its model card, and verify it."""
    out = resolved_parent(out)
    check_folder(out)
    store = _store(name, models)
    local = local_path(models or os.environ.get(VARIABLE, ""))
    chosen = version or _champion(store).version
    digest = command_digest({"name": name, "version": chosen}, {"models": local})
    same = recorded(out, "models pull") == digest
    with claimed([Output(out, "version")], {"--models": local} if local else {}, overwrite=overwrite, same=same):
        fetched = store.fetch(chosen, out)
        record(out, "models pull", digest)
    print(fetched)


def rollback(
    name: NAME,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="version that becomes the champion again")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="reason, which is kept in the history")],
    models: MODELS = "",
) -> None:
    """Make a former version the champion again; nothing is deleted."""
    if not reason.strip():
        raise SettingsError("models rollback: '--reason' is empty: give the reason, which is kept in the history.")
    rollback = _store(name, models).rollback(to, reason.strip())
    print(f"{name}: {rollback.version} is the champion again, instead of {rollback.replaces or 'none'}")


def _list_versions(store: "ModelStore") -> None:
    champion, history = _champion(store), store.history()
    for version in store.versions():
        last = next((change for change in reversed(history) if change.version == version), None)
        mark = "champion" if version == champion.version else "" if last else "never champion"
        accuracy = store.card(version).scores.get("accuracy")
        value = "-" if accuracy is None or accuracy.value is None else f"{accuracy.value:.3f}"
        print(f"{version}  accuracy {value}  {mark}".rstrip())
    print()
    for change in history:
        print(f"{change.time}  {change.action:<8}  {change.version}  {change.reason}")


def _champion(store: "ModelStore") -> "Publication":
    champion = store.champion()
    if champion is None:
        from histoforge.core.settings import nearest
        from histoforge.models import model_names

        names = model_names(store.models)
        listed = ", ".join(names) or "none"
        raise ModelError(
            f"No model '{store.name}' is published at {store.models}{nearest(store.name, names)}: choose from {listed}."
        )
    return champion


def _store(name: str, models: str) -> "ModelStore":
    from histoforge.models import ModelStore

    return ModelStore(_location(models), name)


def _location(models: str) -> "Location":
    from histoforge.storage import open_location

    text = models or os.environ.get(VARIABLE, "")
    if not text:
        raise SettingsError(f"The location of published models is not given: use '--models' or set {VARIABLE}.")
    return open_location(text)
