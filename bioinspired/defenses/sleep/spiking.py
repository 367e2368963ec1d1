r"""The sleeping network: layers of leaky threshold units on their ReLU network's own weights, and a local rule.

One step of layer l, with spikes z of the layer below in the same step, decay d and threshold b:

    v <- d v + alpha W z           membrane; may be negative, is not bounded, has no refractory period
    s  = [v >= b]                  spikes
    for every unit i that spikes:  W_ij <- W_ij + inc g(W_ij) where input j spiked too,
                                   W_ij <- W_ij - dec g(W_ij) where it did not
    v  = 0 where s

Layers follow one another within the step, so a spike crosses the whole network at once. A unit that is silent learns
nothing; hence on a CPU only the weights of spiking units are read and written, those of spiking inputs to sum the
impulse, those of spiking outputs to learn. On a GPU a step is a batched product and one masked update of everything.

R replicas, which may differ in weights and parameters, sleep side by side. Each has random numbers of its own, so what
becomes of one does not depend on the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

DECAY = 0.999  # of the membrane, per step
DT = 0.001  # seconds a step
STEEPNESS = 0.001  # weight scale of the released factor
BLOCK = 64  # steps whose random numbers are drawn at once
TOGETHER = 8  # replicas that sleep at once on a CPU: more of them fall out of its cache

Factor = Literal["released", "logistic", "one"]

FACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "released": lambda w: 2 * torch.sigmoid(w / -STEEPNESS),
    "logistic": torch.sigmoid,
    "one": torch.ones_like,
}
"""How much of a change a weight takes. "released": 2 (1 - 1 / (1 + exp(-w / 0.001))), which freezes weights above
0.005; "logistic": 1 / (1 + exp(-w)), as another port of the method has it; "one": the change does not depend on w."""


@dataclass(frozen=True)
class Rule:
    """Parameters of R replicas of L layers.

    Attributes:
        rate: [R], the nominal input rate in Hz; a pixel x spikes with probability min(1, 2 dt rate x), as released.
        inc, dec: [R], what a weight gains or loses at a spike, before the factor.
        thresholds: [R, L], the membrane at which a unit of a layer spikes; above 0.
        scales: [R, L], alpha: what an impulse is multiplied with.
        factor: a name of `FACTORS`.
    """

    rate: Tensor
    inc: Tensor
    dec: Tensor
    thresholds: Tensor
    scales: Tensor
    factor: Factor = "released"

    def part(self, replicas: slice) -> "Rule":
        """The same of some replicas."""
        return Rule(
            self.rate[replicas],
            self.inc[replicas],
            self.dec[replicas],
            self.thresholds[replicas],
            self.scales[replicas],
            self.factor,
        )


def all_asleep(
    weights: Sequence[Tensor], rule: Rule, generators: Sequence[torch.Generator], shown: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Lets any number of replicas sleep, on a CPU a few at a time.

    Args:
        weights: per layer [R, out, in]; they stay as they are.
        rule, generators: of R replicas.
        shown: frames [steps, in], in pieces.

    Returns:
        Per layer the new weights [R, out, in], and the numbers of spikes [R, out].
    """
    replicas = len(generators)
    together = replicas if weights[0].is_cuda else TOGETHER
    groups = []
    for start in range(0, replicas, together):
        part = slice(start, start + together)
        sleepers = Sleepers([w[part] for w in weights], rule.part(part), generators[part])
        for piece in shown:
            sleepers.sleep(piece)
        groups.append((sleepers.weights, sleepers.counts))
    new, counts = ([torch.cat(layer) for layer in zip(*found, strict=True)] for found in zip(*groups, strict=True))
    return new, counts


class Sleepers:
    """R sleeping networks.

    Args:
        weights: per layer [R, out, in], any floating-point type; copied.
        rule: their parameters, on the same device.
        generators: R generators on the same device, one per replica.

    Attributes:
        membranes: per layer [R, out].
        counts: per layer [R, out], int64, spikes so far.
    """

    def __init__(self, weights: Sequence[Tensor], rule: Rule, generators: Sequence[torch.Generator]) -> None:
        # A spiking input reads its weights to all outputs: they lie side by side.
        self._inputs = [w.transpose(1, 2).clone(memory_format=torch.contiguous_format) for w in weights]
        self.rule = rule
        self._generators = generators
        self._factor = FACTORS[rule.factor]
        self.membranes = [w.new_zeros(w.shape[:2]) for w in weights]
        self.counts = [torch.zeros(w.shape[:2], dtype=torch.int64, device=w.device) for w in weights]
        self._graph: _Graph | None = None

    @property
    def weights(self) -> list[Tensor]:
        """Per layer [R, out, in]: views of what the replicas have come to."""
        return [w.transpose(1, 2) for w in self._inputs]

    def sleep(self, frames: Tensor) -> None:
        """Shows one frame a step.

        Args:
            frames: [steps, in] in [0, 1], the same for all replicas.
        """
        for block in torch.split(frames, BLOCK):
            self.step_through(self._drawn(block))

    def step_through(self, spikes: Tensor) -> None:
        """One step for each of the given input spikes, bool [steps, R, in]."""
        if spikes.is_cuda:
            self._graph = self._graph or _Graph(self._dense, spikes[0])
            for now in spikes:
                self._graph.replay(now)
            return
        for now, some in zip(spikes, _listed(spikes), strict=True):
            self._sparse(now, some)

    def _drawn(self, frames: Tensor) -> Tensor:
        steps, inputs = frames.shape
        dice = torch.stack(
            [torch.rand(steps, inputs, generator=one, device=frames.device) for one in self._generators], dim=1
        )
        return dice < 2 * DT * self.rule.rate[:, None] * frames[:, None, :]

    def _sparse(self, below: Tensor, some: "Spikes") -> None:
        for layer, weights in enumerate(self._inputs):
            membrane = self.membranes[layer].mul_(DECAY)
            if not len(some.index):
                continue  # without input a membrane only decays, away from its threshold
            impulse = functional.embedding_bag(some.index, weights.flatten(0, 1), some.begin, mode="sum")
            membrane.addcmul_(impulse, self.rule.scales[:, layer, None])
            spikes = membrane >= self.rule.thresholds[:, layer, None]
            some = next(_listed(spikes[None]))
            if len(some.index):
                self.counts[layer] += spikes
                membrane.masked_fill_(spikes, 0)
                self._learn(weights, below, some)
            below = spikes

    def _learn(self, weights: Tensor, below: Tensor, some: "Spikes") -> None:
        replica, unit = some.index // weights.shape[2], some.index % weights.shape[2]
        old = weights[replica, :, unit]
        change = torch.where(below[replica], self.rule.inc[replica, None], -self.rule.dec[replica, None])
        weights[replica, :, unit] = old.addcmul(change, self._factor(old))

    def _dense(self, below: Tensor) -> None:
        for layer, weights in enumerate(self._inputs):
            impulse = torch.bmm(below.to(weights.dtype)[:, None], weights)[:, 0]
            membrane = self.membranes[layer].mul_(DECAY).addcmul_(impulse, self.rule.scales[:, layer, None])
            spikes = membrane >= self.rule.thresholds[:, layer, None]
            self.counts[layer] += spikes
            membrane.masked_fill_(spikes, 0)
            change = torch.where(below[:, :, None], self.rule.inc[:, None, None], -self.rule.dec[:, None, None])
            weights.addcmul_(spikes[:, None] * change, self._factor(weights))
            below = spikes


class _Graph:
    """A step as a CUDA graph: one launch instead of dozens."""

    def __init__(self, step: Callable[[Tensor], None], like: Tensor) -> None:
        self._now = torch.zeros_like(like)
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            step(self._now)  # libraries set themselves up; without spikes, at rest, nothing changes
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step(self._now)

    def replay(self, now: Tensor) -> None:
        self._now.copy_(now)
        self._graph.replay()


@dataclass(frozen=True)
class Spikes:
    """The spikes of one step: positions in [R x units], ascending, and where in them each replica's begin, [R]."""

    index: Tensor
    begin: Tensor


def _listed(spikes: Tensor) -> Iterator[Spikes]:
    """The spikes of every step of bool [steps, R, units]."""
    size = spikes[0].numel()
    flat = spikes.view(-1).nonzero().view(-1)
    counts = spikes.sum(2)
    begins = counts.cumsum(1) - counts
    ends = counts.sum(1).cumsum(0).tolist()
    start = 0
    for step, end in enumerate(ends):
        yield Spikes(flat[start:end] - step * size, begins[step])
        start = end
