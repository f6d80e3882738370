"""What a model answers, and figures of how right that is: the error, and those that count every class alike."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from hannah_hw.host.session import open_session
from hannah_hw.scoring.dataset import Dataset, Floats, Labels

#: Times that the largest training class is as large as the smallest from which on balanced figures are recorded.
UNEVEN: Final = 1.5


def model_answers(path: str | Path, *parts: Floats) -> tuple[Labels, ...]:
    """The class that a model answers for every sample, run by ONNX Runtime, on integers where it is int8.

    A batch of one takes about as long a sample as any other.

    Args:
        path: An ONNX classifier with one input; its batch may be symbolic or fixed.
        parts: Samples (N, ...).

    Returns:
        (N,) of each part.

    Raises:
        ModelError: The file cannot be run.
    """
    session = open_session(path)
    value = session.get_inputs()[0]
    batch = value.shape[0] if isinstance(value.shape[0], int) else 64
    found = []
    for samples in parts:
        answers = np.empty(len(samples), np.int64)
        for start in range(0, len(samples), batch):
            chunk = samples[start : start + batch]
            padded = np.resize(chunk, (batch, *chunk.shape[1:])) if len(chunk) < batch else chunk
            logits = session.run(None, {value.name: padded})[0].reshape(batch, -1)[: len(chunk)]
            answers[start : start + batch] = logits.argmax(axis=1)
        found.append(answers)
    return tuple(found)


def model_errors(path: str | Path, *parts: tuple[Floats, Labels]) -> tuple[float, ...]:
    """Share of the samples of each part that a model gets wrong.

    Args:
        path: See `model_answers`.
        parts: Samples (N, ...) and labels (N,).

    Raises:
        ModelError: The file cannot be run.
    """
    answers = model_answers(path, *(samples for samples, _ in parts))
    return tuple(error_of(labels, found) for (_, labels), found in zip(parts, answers, strict=True))


def error_of(truth: Labels, answers: Labels) -> float:
    """Share of the samples that got a wrong answer; classes and answers are (N,)."""
    return int((truth != answers).sum()) / len(truth)


def balanced_figures(truth: Labels, answers: Labels) -> dict[str, float]:
    """What counts every class alike, however many samples it has.

    Args:
        truth: (N,) classes.
        answers: (N,) classes.

    Returns:
        ``balanced_error``: 1 less the mean recall of the classes that occur; ``macro_f1``: the mean F1 score of the
        classes that occur or are answered, 2 hits / (occurrences + answers) of each.
    """
    classes = int(max(truth.max(), answers.max())) + 1
    hits = np.bincount(truth[truth == answers], minlength=classes)
    occurs, answered = (np.bincount(labels, minlength=classes) for labels in (truth, answers))
    there, named = occurs > 0, occurs + answered > 0
    recall = hits[there] / occurs[there]
    f1 = 2 * hits[named] / (occurs + answered)[named]
    return {"balanced_error": 1.0 - float(recall.mean()), "macro_f1": float(f1.mean())}


def is_uneven(data: Dataset) -> bool:
    """Whether the classes of the training part differ so much in size that the error alone misleads."""
    counts = np.bincount(data.y_train)
    return bool(counts.max() >= UNEVEN * counts.min())
