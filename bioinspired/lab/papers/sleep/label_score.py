"""The score of each image's label: where it exceeds one, the squared error to one-hot grows when it rises further."""

import torch

from bioinspired.attacks.predictions import answers
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, numbers
from bioinspired.lab.papers.sleep.declarations import LabelScore


@torch.no_grad()
def ask(question: LabelScore, asked: Asked) -> Outcome:
    """Values: "score", per image that of its label."""
    scores = torch.cat([asked.model(part) for part in torch.split(asked.images, 512)])
    own = scores.gather(1, asked.labels[:, None])[:, 0]
    return Outcome(bits={"correct": bits(answers(scores) == asked.labels)}, values={"score": numbers(own)}, forwards=1)
