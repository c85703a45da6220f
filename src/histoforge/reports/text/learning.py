"""Sentences about arms that are not shown to have learned anything."""

from collections.abc import Sequence

from histoforge.core.text import join_words
from histoforge.evaluation.learning import learning_score
from histoforge.evaluation.study_findings import ArmFindings, StudyFindings
from histoforge.reports.text.formatting import score_name


def unlearned_text(study: StudyFindings, unlearned: Sequence[ArmFindings]) -> str:
    """Name the arms that are not shown to have learned, with their scores; '' if all arms learned."""
    if not unlearned:
        return ""
    scores = _scores(study, unlearned)
    if len(unlearned) == len(study.arms) > 1:
        return f"These classifiers are not shown to have learned anything ({scores}): this study cannot answer."
    names = sentence_case(join_words([arm.title for arm in unlearned]))
    text = f"{names} {'is' if len(unlearned) == 1 else 'are'} not shown to have learned anything ({scores})"
    if any(arm.name in {study.reference_of(other) for other in study.challengers} for arm in unlearned):
        return f"{text}, so there is nothing to compare with: this study cannot answer."
    return f"{text}, so no claim is made of {'it' if len(unlearned) == 1 else 'them'}."


def epochs_line(unlearned: Sequence[ArmFindings]) -> list[str]:
    """Return the epochs that such arms kept: the first ones are a sign that training failed."""
    texts = [f"{arm.title} {epochs}" for arm in unlearned if (epochs := kept_epochs(arm))]
    return [f"Epochs kept, of those run: {'; '.join(texts)}."] if texts else []


def kept_epochs(arm: ArmFindings) -> str:
    """Return the epoch that each classifier kept, such as '1, 3, 2 of 30'; '' if unknown."""
    kept = [str(epoch) for epoch in arm.training.best_epochs if epoch is not None]
    run = [epoch for epoch in arm.training.epochs if epoch is not None]
    if not kept or not run:
        return ""
    return f"{', '.join(kept)} of {min(run)}" + (f" to {max(run)}" if max(run) > min(run) else "")


def sentence_case(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def _scores(study: StudyFindings, arms: Sequence[ArmFindings]) -> str:
    """Return text such as 'balanced accuracy 0.48 to 0.53, guessing reaches 0.50'."""
    score = learning_score(study.score)
    values = [mean for arm in arms if (mean := arm.scores[score].mean) is not None]
    chance = study.constant.scores[score] if study.constant else None
    bounds = dict.fromkeys(f"{value:.2f}" for value in (min(values), max(values)))
    text = f"{score_name(score)} {' to '.join(bounds)}"
    return text if chance is None else f"{text}, and guessing reaches {chance:.2f}"
