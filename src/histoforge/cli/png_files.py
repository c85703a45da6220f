"""`histoforge export` and `histoforge generate`: patches as PNG files."""

from pathlib import Path
from typing import Annotated

import typer

from histoforge.cli.outputs import OVERWRITE, check_folder, resolved_parent
from histoforge.cli.similar import DEVICE
from histoforge.core.claims import Output, claimed, command_digest, record, recorded
from histoforge.core.progress import say

PATCHES = Annotated[Path, typer.Argument(help="patch set, synthetic or real")]
FOLDER = Annotated[Path, typer.Option("--out", metavar="DIR", help="folder to create")]


def export(
    patches: PATCHES,
    out: FOLDER,
    audit: Annotated[
        Path | None,
        typer.Option(
            "--audit",
            metavar="FILE",
            help="metrics.json of evaluate, or the numbers of 'histoforge duplicates', for the datasheet [default: "
            "metrics.json beside the patch set, if it is about it]",
        ),
    ] = None,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="title of the datasheet [default: --out]")] = "",
    overwrite: OVERWRITE = False,
) -> None:
    """Write a patch set as PNG files by class, with a table of labels and a datasheet."""
    from histoforge.cli.exporting import export_patches

    out = resolved_parent(out)
    check_folder(out)
    inputs = {"patches": patches, **({"audit": audit} if audit else {})}
    digest = command_digest({"title": title}, inputs)
    labelled_inputs = {f"{name} {path}": path for name, path in inputs.items()}
    with claimed([Output(out, "export")], labelled_inputs, overwrite=overwrite, same=recorded(out, "export") == digest):
        export_patches(patches, out, title or out.name, audit)
        record(out, "export", digest)
    say(f"written to {out}")


def generate(
    model: Annotated[Path, typer.Option("--model", metavar="PATH", help="generator")],
    class_name: Annotated[str, typer.Option("--class", metavar="NAME", help="class to draw")],
    out: FOLDER,
    count: Annotated[int, typer.Option("--count", min=1, max=1_000_000, help="number of pictures")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="seed of the noise")] = 0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, max=65536, help="pictures drawn at once")] = 64,
    device: DEVICE = "auto",
    overwrite: OVERWRITE = False,
) -> None:
    """Draw patches of a class from a generator as PNG files, with a contact sheet."""
    from histoforge.cli.exporting import generate_pictures

    out = resolved_parent(out)
    check_folder(out)
    settings = {"class": class_name, "count": count, "seed": seed, "batch_size": batch_size}
    digest = command_digest(settings, {"model": model})
    same = recorded(out, "generate") == digest
    with claimed([Output(out, "pictures")], {f"--model {model}": model}, overwrite=overwrite, same=same):
        generate_pictures(model, class_name, count, seed, out, batch_size, device)
        record(out, "generate", digest)
    say(f"written to {out}")
