"""What attacks find when the logits are multiplied by a factor: no answer changes, the measured robustness does."""

from torch import Tensor

from bioinspired.attacks.fmn import fmn
from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.norms import ball
from bioinspired.attacks.predictions import correct
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean
from bioinspired.lab.papers.dim import forty_two
from bioinspired.lab.papers.dim.declarations import LogitScale

SEARCHES = 5  # of C&W's constant


def ask(question: LogitScale, asked: Asked) -> Outcome:
    """Which images stand at eps: PGD on the cross-entropy, C&W in L2, or FMN, which knows no scale."""
    factor, eps = number(question.factor), number(question.eps)
    x, y = asked.images, asked.labels

    def scaled(images: Tensor) -> Tensor:
        return factor * asked.model(images)

    if question.name == "pgd":
        found = pgd(scaled, x, y, norm=question.norm, eps=eps, steps=question.steps, step_size=0.1 * eps,
                    random_start=True, generator=asked.generator)  # fmt: skip
    elif question.name == "fmn":
        found = fmn(scaled, x, y, norm=question.norm, steps=question.steps)
    else:
        found = forty_two.run("L2CarliniWagner", scaled, x, y, steps=question.steps, searches=SEARCHES,
                              generator=asked.generator)  # fmt: skip
    near = ball(question.norm).size(found.x_adv - x) <= eps * (1 + 1e-5)
    standing = correct(asked.model, x, y) & ~(found.success & near)
    return Outcome(bits={"correct": bits(standing)}, forwards=mean(found.forwards), backwards=mean(found.backwards))
