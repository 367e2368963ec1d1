r"""Sleep: a trained network replays noise through spiking copies of its units (Tadros et al., ICLR 2020).

After ordinary training, every ReLU becomes a leaky threshold unit on the same weights (`spiking`). The network is shown
noisy training images without labels (`stimulus`) and a local rule changes the weights of units that spike: a weight
grows where the input spiked too and shrinks where it did not. There is no loss and no gradient. Afterwards the weights,
changed in place, are those of the ReLU network again.

The paper's text was not available. What is here follows the repository that its authors released with it, whose file
`sleep/sleepnn_old.m` all result scripts call; the scales (`scaling`) follow their later repository. Points that decide
what the method is:

- *Scales.* Layer l is driven by alpha_l = c_l alpha, where c_l comes from the training images and alpha is a parameter.
- *Rate.* A pixel x spikes with probability min(1, 2 dt rate x): twice the nominal rate.
- *Factor.* A change is multiplied with 2 (1 - 1 / (1 + exp(-w / 0.001))): positive weights hardly move.
- *Size.* inc and dec are about ten times a trained weight. One spike drives the weights of a unit's silent inputs far
  below zero.
"""

from bioinspired.defenses.sleep.phase import Parameters, after, spikes

__all__ = ["Parameters", "after", "spikes"]
