"""Denoised Internal Models (Liu et al., arXiv 2111.10844), reconstructed from the abstract and a news page.

With images x in [0, 1]^d, a denoiser D and one autoencoder A_c a class,

    stage 1   minimise over D     E || D(clip(x + n, 0, 1)) - x ||^2
    stage 2   minimise over A_c   E_{x | y = c} || A_c(u) - u ||^2        u = D(x), D fixed
    answer    e_c(x) = || A_c(u) - u ||^2 / dim(u),   argmin_c e_c,   logits z_c = -s e_c

Neither text nor code was available: widths, noise, what the second stage reads and what its error is measured against
are ours, and each is a parameter. All classes are one batched computation.

    from bioinspired.defenses import dim
    model = dim.apply(model, input_shape=(1, 28, 28), generator=torch.Generator().manual_seed(0))
    history = dim.fit(model, images=images, labels=labels, epochs=20, batch=128, rate=1e-3, generator=generator,
                      progress=print)
"""

from bioinspired.defenses.dim.fitting import fit
from bioinspired.defenses.dim.model import DenoisedInternalModels, apply

__all__ = ["DenoisedInternalModels", "apply", "fit"]
