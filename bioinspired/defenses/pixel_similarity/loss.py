r"""The distance between two sets of similarities, in the paper's words and in those of its released code.

The paper (equation 2):   sum over i != j of (arctanh S_ij - arctanh T_ij)^2

The released code:        mean over the pairs of the batch of (u(S_ij) - u(T_ij))^2,
                          u(x) = log((1 + x + e) / (1 - x + e)),   e = 1e-5.

u is twice the arctanh, so a term of the code is four times one of the paper, and a mean stands for the sum: alpha = 10
in the code is 40 times the mean of the paper's terms. A target of +-1 becomes +-12.2, so the few such pairs outweigh
all others: a pair of target 1 costs 149 at S = 0 and still 48 at S = 0.99, one of target 0 costs 1.2 at S = 0.5.
"""

from typing import Literal

import torch
from torch import Tensor

Convention = Literal["code", "formula", "plain"]

SHIFT = 1e-5
"""e of the code; the formula's targets are kept this far from +-1, where arctanh is infinite."""


def pair_loss(similarity: Tensor, target: Tensor, convention: Convention = "code") -> Tensor:
    """How far similarities are from their targets.

    Args:
        similarity: S [k] in [-1, 1], of k pairs i < j.
        target: T [k] in [-1, 1].
        convention: "code"; "formula", the sum over i != j, in which each pair counts twice; or "plain", the mean of
            (S - T)^2, the released code's alternative without arctanh.

    Returns:
        A scalar.
    """
    if convention == "plain":
        return (similarity - target).square().mean()
    if convention == "formula":
        limit = 1 - SHIFT
        bounded = (values.clamp(-limit, limit) for values in (similarity, target))
        a, b = (torch.atanh(values) for values in bounded)
        return 2 * (a - b).square().sum()
    return (_transformed(similarity) - _transformed(target)).square().mean()


def _transformed(x: Tensor) -> Tensor:
    return torch.log((1 + x + SHIFT) / (1 - x + SHIFT))
