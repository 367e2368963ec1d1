"""The released code's own classifier, the ReLU of the scores, and answers class by class."""

import torch

from bioinspired.attacks.predictions import answers
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits
from bioinspired.lab.papers.sleep.declarations import Rectified


@torch.no_grad()
def ask(question: Rectified, asked: Asked) -> Outcome:
    """Which images the rectified scores answer right, a tie (of zeros, where no score is positive) counting as wrong.

    Values, one per class: "images", how many there are; "recall", the percentage that the plain scores answer right;
    "answers", how often they answer the class; "tied", how many images have no positive score.
    """
    scores = torch.cat([asked.model(part) for part in torch.split(asked.images, 512)])
    said, y = answers(scores), asked.labels
    classes = range(scores.shape[1])
    of = [y == k for k in classes]
    return Outcome(
        bits={"correct": bits(answers(scores.relu()) == y)},
        values={
            "images": [float(mask.sum()) for mask in of],
            "recall": [
                100 * float((said[mask] == k).double().mean()) if mask.any() else None for k, mask in enumerate(of)
            ],
            "answers": [float((said == k).sum()) for k in classes],
            "tied": [float((scores[mask] <= 0).all(1).sum()) for mask in of],
        },
        forwards=1,
    )
