"""Statements of the positive control about a study's answer, and the price of the synthetic patches."""

from dataclasses import replace

from histoforge.core.text import counted
from histoforge.evaluation.study_findings import ArmFindings, StudyFindings, Verdict
from histoforge.metrics.crossed import CrossedEffect
from histoforge.metrics.price import Price
from histoforge.reports.text.formatting import UNDEFINED, amount, effect_interval, p_value, score_name, size_text
from histoforge.reports.text.study_answer import StudyAnswer
from histoforge.reports.text.study_verdicts import verdict_of

NO_CONTROL = (
    "There is no positive control (an arm of held-back real patches, which selective-augmentation trains), so it stays "
    "open whether this experiment could have shown a benefit."
)


def with_control(answer: StudyAnswer, study: StudyFindings) -> StudyAnswer:
    """Return a study's answer with what its positive control says of it.

    Where no arm is better and the control is not better either, or there is none, a caveat says that the experiment
    could not, or perhaps could not, have shown a benefit. Where the control is better, a line says so, and another one
    gives the price of the best arm with synthetic patches. Where there are too few patients or seeds, the headline says
    enough.
    """
    with_synthetic = [arm for arm in study.challengers if arm.synthetic]
    if not with_synthetic or answer.verdict in ("too_few", "not_learned", "no_comparison"):
        return answer
    better = any(_verdict(study, arm.name) == "better" for arm in study.challengers)
    if study.control is None:
        return answer if better else replace(answer, caveats=[NO_CONTROL, *answer.caveats])
    if control_verdict(study) != "better":
        caveats = [] if better else [_blind_sentence(study)]
        return replace(answer, caveats=[*caveats, *answer.caveats])
    return replace(answer, lines=[*answer.lines, _fires_sentence(study, with_synthetic), *_price_line(study)])


def control_verdict(study: StudyFindings) -> Verdict:
    """Return the verdict on the positive control with the most held-back patches; 'no_comparison' without one."""
    return "no_comparison" if study.control is None else _verdict(study, study.control.arm)


def price_text(price: Price) -> str:
    """Describe a price: '120 (95% interval 40 to 210)', or 'more than 240 (95% interval 130 to more than 240)'."""
    if price.worth is None or price.low is None or price.high is None:
        return f"no price: {price.note}"
    most = f"more than {price.largest:,}"
    worth, low = (f"{round(number):,}" for number in (price.worth, price.low))
    high = most if price.open_ended else f"{round(price.high):,}"
    interval = most if price.open_ended and price.low >= price.largest else f"{low} to {high}"
    return f"{most if price.exceeded else worth} ({price.confidence:.0%} interval {interval})"


def _verdict(study: StudyFindings, arm: str) -> Verdict:
    difference = study.difference(arm, study.score)
    return "no_comparison" if difference is None or difference.overall is None else verdict_of(study, difference)


def _control_effect(study: StudyFindings) -> tuple[str, CrossedEffect]:
    """Return the held-back patches in words, such as '240 held-back real patches', and their effect."""
    assert study.control is not None
    difference = study.difference(study.control.arm, study.score)
    assert difference is not None
    assert difference.overall is not None
    return counted(study.arm(study.control.arm).control, "held-back real patches"), difference.overall


def _difference_text(study: StudyFindings, effect: CrossedEffect) -> str:
    """Return text such as '3.1 percentage points above baseline in accuracy (95% interval …; p = …)'."""
    size = UNDEFINED if effect.difference is None else amount(study.score, effect.difference)
    certainty = ", ".join(filter(None, (effect_interval(study.score, effect), p_value(effect))))
    return f"{size} {study.title(study.reference)} in {score_name(study.score)} ({certainty})"


def _blind_sentence(study: StudyFindings) -> str:
    patches, effect = _control_effect(study)
    finds = ""
    if effect.detectable is not None:
        finds = f" With a power of 80%, it finds a difference of {size_text(study.score, effect.detectable)}."
    return (
        f"This experiment could not have shown a benefit: {patches} in place of the synthetic ones (positive control) "
        f"do not help either, {_difference_text(study, effect)}.{finds}"
    )


def _fires_sentence(study: StudyFindings, with_synthetic: list[ArmFindings]) -> str:
    patches, effect = _control_effect(study)
    most = max(arm.synthetic for arm in with_synthetic)
    return (
        f"The positive control shows that this experiment can find a benefit: {patches} in place of {most:,} synthetic "
        f"ones are {_difference_text(study, effect)}."
    )


def _price_line(study: StudyFindings) -> list[str]:
    """Return the price of the arm with synthetic patches that has the highest mean."""
    assert study.control is not None
    priced = [arm for arm in study.challengers if arm.name in study.control.prices]
    scored = [(mean, arm) for arm in priced if (mean := arm.scores[study.score].mean) is not None]
    if not scored:
        return []
    arm = max(scored, key=lambda each: each[0])[1]
    price = study.control.prices[arm.name]
    if price.worth is None:
        return []
    return [
        f"Price: the {counted(arm.synthetic, 'synthetic patches')} of {arm.title} were worth {price_text(price)} added "
        "real ones."
    ]
