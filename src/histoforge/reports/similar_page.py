"""The page of `histoforge similar`: each query with the patches that a guide or an encoder finds most similar to it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from histoforge.core.text import counted
from histoforge.reports.layout.blocks import Block, Cell, Gallery, Page, Section, Table, Text, cells
from histoforge.reports.layout.pictures import thumbnail
from histoforge.siamese.search import Match, Query, SearchResult

COLUMN_TITLES = {"x": "x, px", "y": "y, px"}
READING = (
    "Similarity is the cosine of the network's embeddings, from 0 to 1. It is not a probability, and what counts as "
    "high depends on the network: compare it with the median over all patches."
)


def build_similar_page(result: SearchResult, *, where: str, network: str, data_file: str) -> Page:
    """Return the page.

    Args:
        result: the queries, at least one, with their matches.
        where: description of the patches searched, such as 'patches of runs/a/patches, split train'.
        network: the network that embeds, such as 'guide mft_snn 1a2b3c4d'.
        data_file: name of the file with the same content as JSON.
    """
    queries = result.queries
    best = max(query.matches[0].similarity for query in queries)
    return Page(
        title="Similar patches",
        subtitle=f"{result.searched:,} {where}, by the {network}",
        verdict="no_difference",
        headline=_headline(queries),
        answer=[*_answer_lines(queries), READING],
        key_numbers=[
            (f"{result.searched:,}", "patches searched"),
            (f"{len(queries[0].matches):,}", "most similar ones shown"),
            (f"{best:.4f}", "highest similarity"),
            (f"{np.median([query.median_similarity for query in queries]):.4f}", "median over all patches"),
        ],
        warnings=result.warnings,
        sections=[_overview(queries), *(_section(query, number) for number, query in enumerate(queries, start=1))],
        data_file=data_file,
    )


def _headline(queries: Sequence[Query]) -> str:
    if len(queries) == 1:
        match = queries[0].matches[0]
        if match.same_pixels:
            return f"The patch itself is in the set (class {match.class_name})."
        return f"The most similar patch has a similarity of {match.similarity:.4f} and is of class {match.class_name}."
    best = [query.matches[0].similarity for query in queries]
    return (
        f"The most similar patches of {len(queries):,} queries have similarities from {min(best):.4f} to "
        f"{max(best):.4f}."
    )


def _answer_lines(queries: Sequence[Query]) -> list[str]:
    if len(queries) > 1:
        same = sum(query.matches[0].same_pixels for query in queries)
        return [f"The set contains {same:,} of these queries, pixel by pixel."] if same else []
    matches = queries[0].matches
    patients = len({match.patient for match in matches if match.patient})
    source = f", from {counted(patients, 'patients')}" if patients else ""
    return [
        f"Of the {len(matches)} most similar patches: {_class_counts(matches)}{source}.",
        f"Half of all patches have a similarity of at least {queries[0].median_similarity:.4f} to this query.",
    ]


def _class_counts(matches: Sequence[Match]) -> str:
    counts = Counter(match.class_name for match in matches).most_common()
    return ", ".join(f"{count} {name}" for name, count in counts)


def _overview(queries: Sequence[Query]) -> Section:
    rows = [
        [
            Cell(query.name),
            Cell(f"{query.matches[0].similarity:.4f}", "the same pixels" if query.matches[0].same_pixels else ""),
            *cells(query.matches[0].class_name, f"{query.median_similarity:.4f}", _class_counts(query.matches)),
        ]
        for query in queries
    ]
    columns = ["Query", "Most similar", "Its class", "Median over all", "Classes of those shown"]
    blocks = [Table("Queries and their matches", columns, rows, stacked=True)] if len(queries) > 1 else []
    return Section("queries", "All queries", "", blocks)


def _section(query: Query, number: int) -> Section:
    images = [thumbnail(query.image, f"query {query.name}", "query")]
    if query.overlay is not None:
        images.append(thumbnail(query.overlay, f"Grad-CAM of the query {query.name}", "where the guide looks"))
    matches = []
    for rank, match in enumerate(query.matches, start=1):
        text = f"{match.similarity:.4f} {match.class_name}" + (", the same pixels" if match.same_pixels else "")
        matches.append(thumbnail(match.image, f"match {rank}, class {match.class_name}", text))
    overlays = [
        thumbnail(match.overlay, f"Grad-CAM of match {rank}", str(rank))
        for rank, match in enumerate(query.matches, start=1)
        if match.overlay is not None
    ]
    rows = [("Query", images), ("Most similar, in order", matches)]
    caption = "Each patch with its similarity and class."
    if overlays:
        rows.append(("What makes them similar", overlays))
        caption += " Warm colours: what adds most to the similarity (Grad-CAM), scaled for each patch separately."
    blocks: list[Block] = [Text([query.note])] if query.note else []
    return Section(f"query-{number}", query.name, "", [*blocks, Gallery(caption, rows), _locations_table(query)])


def _locations_table(query: Query) -> Table:
    names = list(query.matches[0].origin)
    rows = [
        [
            Cell(str(rank)),
            Cell(f"{match.similarity:.4f}", share=_share_above_median(match.similarity, query.median_similarity)),
            *cells(match.class_name, *(match.origin[name] for name in names)),
        ]
        for rank, match in enumerate(query.matches, start=1)
    ]
    columns = ["Rank", "Similarity", "Class", *(COLUMN_TITLES.get(name, name.capitalize()) for name in names)]
    note = "Shading: none at the median over all patches, full at 1."
    if "x" in names:
        note += " x and y: the patch's upper left corner at level 0."
    return Table(f"Origin of the matches: {query.name}", columns, rows, note, stacked=True)


def _share_above_median(similarity: float, median: float) -> float:
    """Return the position of a similarity between the median and 1, in [0, 1]."""
    return max(0.0, (similarity - median) / (1 - median)) if median < 1 else 0.0
