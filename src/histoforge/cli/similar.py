"""`histoforge similar` and `histoforge duplicates`: pages of patches that a guide considers similar."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from histoforge.cli.claims import OVERWRITE

GUIDE = Annotated[Path, typer.Option("--model", metavar="SNN", help="guide that finetune-snn made")]
PAGE = Annotated[Path, typer.Option("--out", metavar="PAGE", help="HTML page to write; a .json goes beside it")]
CACHE = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="folder that keeps embeddings for the next time")
]
DEVICE = Annotated[str, typer.Option("--device", metavar="NAME", help="'auto', 'cpu', 'cuda' or 'cuda:N'")]
SPLIT = Annotated[
    Literal["all", "train", "val", "test"], typer.Option("--split", help="search in this split of the patch set")
]


def similar(
    query: Annotated[Path, typer.Option("--query", metavar="IMAGE", help="image, or folder of images, to look for")],
    patches: Annotated[Path, typer.Option("--in", metavar="PATCHSET", help="patch set to search in")],
    model: GUIDE,
    out: PAGE,
    k: Annotated[int, typer.Option("-k", metavar="INTEGER", help="how many of the most similar patches to show")] = 12,
    split: SPLIT = "all",
    query_mpp: Annotated[
        float,
        typer.Option(
            "--query-mpp",
            min=0,
            max=50,
            help="resolution of the queries, um/px; 0 takes a pixel of theirs for a pixel of a patch",
        ),
    ] = 0.0,
    gradcam: Annotated[bool, typer.Option(help="show what makes the patches similar")] = True,
    cache: CACHE = None,
    device: DEVICE = "auto",
    overwrite: OVERWRITE = False,
) -> None:
    """Find the patches most similar to an image, by a guide, and show them on a page."""
    from histoforge.cli.searching import Search, show_similar

    show_similar(Search(query, patches, model, out, k, split, gradcam, cache, device, overwrite, query_mpp))


def duplicates(
    synthetic: Annotated[Path, typer.Option("--in", metavar="SYNTHETIC", help="patch set that a generator drew")],
    real: Annotated[Path, typer.Option("--of", metavar="PATCHSET", help="patch set that it was trained on")],
    model: GUIDE,
    out: PAGE,
    quantile: Annotated[
        float, typer.Option(help="of the held-out patches' similarity, above which a patch is flagged")
    ] = 0.99,
    flips: Annotated[bool, typer.Option(help="compare mirrored patches too, at four times the cost")] = True,
    cache: CACHE = None,
    device: DEVICE = "auto",
    overwrite: OVERWRITE = False,
) -> None:
    """Audit a synthetic patch set for copies of its training patches and for repetitions, and show them on a page."""
    from histoforge.cli.auditing import AuditArguments, show_duplicates

    show_duplicates(AuditArguments(synthetic, real, model, out, quantile, flips, cache, device, overwrite))
