"""The two findings of a memorisation audit in one sentence each."""

from typing import TYPE_CHECKING

from histoforge.metrics.compare import p_text
from histoforge.metrics.near_copies import NearCopies
from histoforge.metrics.registered_copies import RegisteredCopies

if TYPE_CHECKING:
    from histoforge.metrics.memorisation import MemorisationAudit

MIN_PATCHES = 30


def copies_verdict(audit: "MemorisationAudit", exact: int) -> str:
    """Return the finding about copies; `exact` is the number of exact copies that show detail."""
    if exact:
        are = "is an exact copy of a training patch" if exact == 1 else "are exact copies of training patches"
        return f"{exact:,} of {audit.n_synthetic:,} synthetic patches {are}."
    if audit.registered is not None and audit.registered.copied:
        return f"Copies of training patches: {_registered_evidence(audit.registered)}."
    if min(audit.n_synthetic, audit.n_compared) < MIN_PATCHES:
        return _too_few(audit)
    if audit.registered is None:
        return "No search for copies of training patches was made: it needs the pixels of the patches."
    if not audit.enough:
        return (
            f"Too few of the synthetic patches show enough detail to tell whether they are copies of training patches: "
            f"{audit.registered.n_with_detail:,} of {audit.registered.n_compared:,}."
        )
    return f"No copies of training patches found: {_registered_evidence(audit.registered)}."


def _registered_evidence(registered: RegisteredCopies) -> str:
    left_out = f"; {registered.n_without_detail:,} without detail were left out" if registered.n_without_detail else ""
    return (
        f"{len(registered.flagged):,} of {registered.n_with_detail:,} synthetic patches show the structure of a "
        f"training patch, flipped, rotated or shifted, compared with {registered.reference_flagged:,} of "
        f"{registered.n_reference:,} training patches that show the structure of another one "
        f"({p_text(registered.p)}{left_out})"
    )


def nearer_verdict(audit: "MemorisationAudit") -> str:
    """Return the finding about distances in the extractor's features."""
    if min(audit.n_synthetic, audit.n_compared) < MIN_PATCHES:
        return _too_few(audit)
    evidence = _distance_evidence(audit) if audit.near_copies is None else _similarity_evidence(audit.near_copies)
    are = "are" if audit.nearer else "are not notably"
    return f"Synthetic patches {are} nearer to the training patients than other patients are: {evidence}."


def _too_few(audit: "MemorisationAudit") -> str:
    return (
        f"{audit.n_synthetic:,} synthetic and {audit.n_compared:,} held-out patches are too few to tell (at least "
        f"{MIN_PATCHES} of each are needed)."
    )


def _distance_evidence(audit: "MemorisationAudit") -> str:
    return (
        f"a synthetic patch is nearer to a training patch than a held-out real one is in "
        f"{audit.nearer_than_held_out:.0%} of pairs ({p_text(audit.p)}), and {audit.closer_to_training:.0%} of "
        "synthetic patches are nearer to training than to held-out patches"
    )


def _similarity_evidence(near_copies: NearCopies) -> str:
    near = near_copies.nearness
    return (
        f"{near.share:.1%} of synthetic patches are more similar to a training patch than {100 * near.quantile:.4g}% "
        f"of the held-out real patches are, where {1 - near.quantile:.1%} are expected ({p_text(near.p)}), and in "
        f"{near.more_similar_than_training:.0%} of pairs a synthetic patch is more similar to training than a training "
        f"patch is to another ({p_text(near.p_than_training)})"
    )
