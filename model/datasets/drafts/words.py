"""What words and numbers in the names of files and folders mean to people of this field."""

import re
from collections.abc import Collection, Sequence

_STRONG = r"subj|subject|sub|user|person|participant|volunteer|proband|wearer"
_WHO = rf"{_STRONG}|p|s|u|id"
_PERSON = re.compile(rf"({_WHO})[-_ ]?\d+", re.IGNORECASE)
_WHO_WORD = re.compile(rf"({_WHO})", re.IGNORECASE)
_STRONG_WORD = re.compile(rf"({_STRONG})\b|({_STRONG})[-_ ]?\d+", re.IGNORECASE)
_CODE = re.compile(r"(a|act|activity|class|label|gesture|task|exercise)[-_ ]?\d+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_YEAR = re.compile(r"(19|20)\d\d([-_.]?\d\d){0,2}")
_WORDS = re.compile(r"[^\W\d_][^\W\d_ ]*( [^\W\d_ ]+)*")
_MOST_LABELS = 40

_ACTIVITIES = (
    r"walk|run|jog|sit|stand|lie|lay|ly|stairs?|upstairs?|downstairs?|climb|cycl|cycle|bik|bike|jump|sleep|rest|eat|"
    r"drink|cook|clean|wash|vacuum|typ|type|driv|drive|fall|row|squat|lunge|still|idle|null|turn|brush|writ|write|read|"
    r"danc|dance|swim|ski|hop|elevator|lift|sweep|fold|clap|kick|throw|catch|push|pull|open|clos|close|bend|"
    r"seat|gehen|laufen|rennen|sitzen|stehen|liegen|treppe|marcher|courir|assis|debout|caminar|correr|sentado|parado"
)
_ACTIVITY = re.compile(rf"(?:^|[\W_\d])(?:{_ACTIVITIES})(?:[a-z]?ing|ed|s|en)?(?:[\W_\d]|$)", re.IGNORECASE)
_NOBODY = re.compile(
    r"(rec|recordings?|data|dataset|files?|sessions?|logs?|trials?|runs?|exp|experiments?|tests?|train|raw|imu|sensors?|"
    r"measurements?|samples?|csv|new|old|all|takes?|exports?|acc|gyro?|mag|phone|watch|day|week|part)[-_ ]?\d*",
    re.IGNORECASE,
)


def person_rank(values: Collection[str], before: str) -> int | None:
    """Return how surely one part of all names says who: 0 by a word, 1 by a p, 2 by a letter, None if it does not.

    Parameters
    ----------
    values : collection of str
        What stands there.
    before : str
        What stands right before it in all names.
    """
    if all(map(_NUMBER.fullmatch, values)) and _WHO_WORD.fullmatch(before):
        return 0 if _STRONG_WORD.match(before) else 1 if before.lower() == "p" else 2
    if not all(map(_PERSON.fullmatch, values)):
        return None
    if all(map(_STRONG_WORD.match, values)):
        return 0
    return 1 if all(value[0] in "pP" for value in values) else 2


def are_activities(values: Collection[str]) -> bool:
    """Tell whether most of some words are what people do."""
    activities = sum(bool(_ACTIVITY.search(value)) for value in values)
    return activities >= 0.5 * len(values) and not any(map(_NOBODY.fullmatch, set(values) - {"run", "Run", "RUN"}))


def are_words_again(values: Sequence[str]) -> bool:
    """Tell whether one part of all names are words that come again."""
    distinct = set(values)
    again = 2 <= len(distinct) <= min(_MOST_LABELS, len(values) - 1)
    return again and all(map(_WORDS.fullmatch, distinct)) and not any(map(_NOBODY.fullmatch, distinct))


def are_codes_again(values: Sequence[str]) -> bool:
    """Tell whether one part of all names are such as a01, that come again."""
    distinct = set(values)
    return 2 <= len(distinct) <= min(_MOST_LABELS, len(values) - 1) and all(map(_CODE.fullmatch, distinct))


def may_be_people(values: Collection[str]) -> bool:
    """Tell whether nothing speaks against words as names of people."""
    return (
        all(any(letter.isalnum() for letter in value) for value in values)
        and not any(map(_NOBODY.fullmatch, values))
        and not any(map(_YEAR.fullmatch, values))
        and not any(map(_CODE.fullmatch, values))
        and not are_activities(values)
    )


def are_numbers_again(values: Sequence[str]) -> bool:
    """Tell whether one part of all names are numbers, but no years, that come again."""
    distinct = set(values)
    again = 2 <= len(distinct) < len(values)
    return again and all(map(_NUMBER.fullmatch, distinct)) and not all(map(_YEAR.fullmatch, distinct))


def are_years(values: Collection[str]) -> bool:
    """Tell whether one part of all names are years, perhaps with month and day."""
    return all(map(_YEAR.fullmatch, values))


def name_a_recording(word: str) -> bool:
    """Tell whether a word in all names says that what follows counts recordings."""
    return _NOBODY.fullmatch(word) is not None
