"""`histoforge similar` and `histoforge duplicates`: pages of the patches that a network finds similar."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from histoforge.cli.outputs import OVERWRITE

GUIDE = Annotated[Path, typer.Option("--model", metavar="SNN", help="guide from finetune-snn")]
PAGE = Annotated[
    Path, typer.Option("--out", metavar="PAGE", help="HTML page to write; its numbers are written beside it as .json")
]
CACHE = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="folder in which to keep embeddings for the next search")
]
DEVICE = Annotated[str, typer.Option("--device", metavar="NAME", help="'auto', 'cpu', 'cuda' or 'cuda:N'")]
SPLIT = Annotated[
    Literal["all", "train", "val", "test", "control"],
    typer.Option("--split", help="search in this split of the patch set"),
]


def similar(
    query: Annotated[Path, typer.Option("--query", metavar="IMAGE", help="image, or folder of images, to search for")],
    patches: Annotated[Path, typer.Option("--in", metavar="PATCHSET", help="patch set to search in")],
    out: PAGE,
    model: Annotated[Path | None, typer.Option("--model", metavar="SNN", help="guide from finetune-snn")] = None,
    encoder: Annotated[
        str,
        typer.Option("--encoder", metavar="FILE", help="file of an encoder (docs/encoders.md) to search with instead"),
    ] = "",
    k: Annotated[int, typer.Option("-k", metavar="INTEGER", help="number of most similar patches to show")] = 12,
    split: SPLIT = "all",
    query_mpp: Annotated[
        float,
        typer.Option(
            "--query-mpp",
            min=0,
            max=50,
            help="resolution of the queries, um/px; 0 assumes that of the patches",
        ),
    ] = 0.0,
    gradcam: Annotated[bool, typer.Option(help="show what makes the patches similar")] = True,
    cache: CACHE = None,
    device: DEVICE = "auto",
    overwrite: OVERWRITE = False,
) -> None:
    """Find the patches that a guide or an encoder finds most similar to an image, and show them on a page."""
    from histoforge.cli.searching import show_similar
    from histoforge.siamese.search import SearchOptions

    options = SearchOptions(k, split, gradcam, query_mpp, cache)
    show_similar(query, patches, model, encoder, out, options, device=device, overwrite=overwrite)


def duplicates(
    synthetic: Annotated[Path, typer.Option("--in", metavar="SYNTHETIC", help="synthetic patch set to audit")],
    real: Annotated[Path, typer.Option("--of", metavar="PATCHSET", help="patch set that its generator was trained on")],
    model: GUIDE,
    out: PAGE,
    quantile: Annotated[
        float, typer.Option(help="quantile of the held-out patches' similarity above which a patch is flagged")
    ] = 0.99,
    flips: Annotated[bool, typer.Option(help="also compare flipped patches, at four times the cost")] = True,
    cache: CACHE = None,
    device: DEVICE = "auto",
    overwrite: OVERWRITE = False,
) -> None:
    """Audit a synthetic patch set for copies of its training patches and for repetitions, and show both on a page."""
    from histoforge.cli.auditing import show_duplicates

    show_duplicates(
        synthetic,
        real,
        model,
        out,
        quantile=quantile,
        flips=flips,
        cache=cache,
        device=device,
        overwrite=overwrite,
    )
