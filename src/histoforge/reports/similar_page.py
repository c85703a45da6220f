"""The page of `histoforge similar`: each query with the patches that the guide finds most similar to it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.core.text import counted
from histoforge.reports.layout.blocks import Block, Cell, Gallery, Page, Section, Table, Text, Thumbnail, cells
from histoforge.reports.layout.pictures import thumbnail

TITLES = {"x": "x, px", "y": "y, px"}
READING = (
    "Similarity is the cosine of the guide's embeddings, from 0 to 1; it is no probability, and what is high depends "
    "on the guide: read it against the median over all patches."
)


@dataclass(frozen=True)
class Match:
    """A patch of the searched set.

    Attributes:
        image: uint8 [H, W, 3].
        overlay: the image under its Grad-CAM, or None.
        similarity: similarity to the query, in [0, 1].
        class_name: its class.
        patient: name of the patient; '' if unknown.
        place: where the patch comes from, by column name.
        same_pixels: whether the patch equals the query pixel by pixel.
    """

    image: NDArray[np.uint8]
    overlay: NDArray[np.uint8] | None
    similarity: float
    class_name: str
    patient: str
    place: Mapping[str, str | int]
    same_pixels: bool


@dataclass(frozen=True)
class Query:
    """A query and its matches.

    Attributes:
        name: name of its file.
        image: the query as it was compared, uint8 [H, W, 3].
        overlay: the image under its Grad-CAM, or None.
        note: how the image was prepared; '' if it was used unchanged.
        typical: the median similarity to all patches.
        matches: at least one, the most similar first.
    """

    name: str
    image: NDArray[np.uint8]
    overlay: NDArray[np.uint8] | None
    note: str
    typical: float
    matches: Sequence[Match]


def build_similar_page(
    queries: Sequence[Query], *, searched: int, where: str, guide: str, warnings: Sequence[str], numbers: str
) -> Page:
    """Build the page.

    Args:
        queries: at least one.
        searched: number of patches that each query was compared with.
        where: description of these patches, such as 'patches of runs/a/patches, split train'.
        guide: name of the guide.
        warnings: what the reader must know first.
        numbers: name of the file with the same content as JSON.
    """
    best = max(query.matches[0].similarity for query in queries)
    shown = len(queries[0].matches)
    sections = [_section(query, number) for number, query in enumerate(queries, start=1)]
    return Page(
        title="Similar patches",
        subtitle=f"{searched:,} {where}, by the guide {guide}",
        verdict="no_difference",
        headline=_headline(queries),
        answer=[*_lines(queries), READING],
        facts=[
            (f"{searched:,}", "patches searched"),
            (f"{shown:,}", "most similar ones shown"),
            (f"{best:.4f}", "highest similarity"),
            (f"{np.median([query.typical for query in queries]):.4f}", "median over all patches"),
        ],
        warnings=warnings,
        sections=[_overview(queries), *sections],
        numbers=numbers,
    )


def _headline(queries: Sequence[Query]) -> str:
    if len(queries) == 1:
        first = queries[0].matches[0]
        if first.same_pixels:
            return f"The patch itself is in the set (class {first.class_name})."
        return f"The most similar patch reaches {first.similarity:.4f} and is of class {first.class_name}."
    tops = [query.matches[0].similarity for query in queries]
    return f"The most similar patches of {len(queries):,} queries reach {min(tops):.4f} to {max(tops):.4f}."


def _lines(queries: Sequence[Query]) -> list[str]:
    if len(queries) > 1:
        same = sum(query.matches[0].same_pixels for query in queries)
        return [f"Of these queries, {same:,} stand in the set themselves, pixel by pixel."] if same else []
    matches = queries[0].matches
    patients = len({match.patient for match in matches if match.patient})
    whose = f", from {counted(patients, 'patients')}" if patients else ""
    return [
        f"Of the {len(matches)} most similar patches: {_classes(matches)}{whose}.",
        f"Half of all patches reach {queries[0].typical:.4f} with this query.",
    ]


def _classes(matches: Sequence[Match]) -> str:
    found = Counter(match.class_name for match in matches).most_common()
    return ", ".join(f"{count} {name}" for name, count in found)


def _overview(queries: Sequence[Query]) -> Section:
    rows = [
        [
            Cell(query.name),
            Cell(f"{query.matches[0].similarity:.4f}", "the same pixels" if query.matches[0].same_pixels else ""),
            Cell(query.matches[0].class_name),
            Cell(f"{query.typical:.4f}"),
            Cell(_classes(query.matches)),
        ]
        for query in queries
    ]
    columns = ["Query", "Most similar", "Its class", "Median over all", "Classes of those shown"]
    blocks = [Table("Queries and what was found", columns, rows, stacked=True)] if len(queries) > 1 else []
    return Section("queries", "All queries", "", blocks)


def _section(query: Query, number: int) -> Section:
    own = [Thumbnail(thumbnail(query.image), f"query {query.name}", "query")]
    if query.overlay is not None:
        own.append(Thumbnail(thumbnail(query.overlay), f"Grad-CAM of the query {query.name}", "where the guide looks"))
    rows = [("Query", own), ("Most similar, in order", [_thumb(m, n) for n, m in enumerate(query.matches, 1)])]
    overlays = [
        Thumbnail(thumbnail(match.overlay), f"Grad-CAM of match {place}", str(place))
        for place, match in enumerate(query.matches, start=1)
        if match.overlay is not None
    ]
    if overlays:
        rows.append(("What makes them similar", overlays))
    caption = "Below each patch its similarity and class."
    if overlays:
        caption += " Warm colours: what adds most to the similarity (Grad-CAM), each patch on its own scale."
    blocks: list[Block] = [Text([query.note])] if query.note else []
    blocks += [Gallery(caption, rows), _table(query)]
    return Section(f"query-{number}", query.name, "", blocks)


def _thumb(match: Match, place: int) -> Thumbnail:
    text = f"{match.similarity:.4f} {match.class_name}" + (", the same pixels" if match.same_pixels else "")
    return Thumbnail(thumbnail(match.image), f"match {place}, class {match.class_name}", text)


def _table(query: Query) -> Table:
    names = list(query.matches[0].place)
    rows = [
        [
            Cell(str(place)),
            Cell(f"{match.similarity:.4f}", share=_above(match.similarity, query.typical)),
            *cells(match.class_name, *(match.place[name] for name in names)),
        ]
        for place, match in enumerate(query.matches, start=1)
    ]
    columns = ["Rank", "Similarity", "Class", *(TITLES.get(name, name.capitalize()) for name in names)]
    note = "Shade: none at the median over all patches, full at 1."
    if "x" in names:
        note += " x and y: the patch's upper left corner at level 0."
    return Table(f"Where they come from: {query.name}", columns, rows, note, stacked=True)


def _above(similarity: float, typical: float) -> float:
    """Return the position of a similarity between the median and 1, in [0, 1]."""
    return max(0.0, (similarity - typical) / (1 - typical)) if typical < 1 else 0.0
