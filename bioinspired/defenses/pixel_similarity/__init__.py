r"""Pixel similarity as a regularizer (Attias, Pehlevan, Obeid; arXiv 2410.03952).

Neurons of mice find some images more alike than others, and networks that were trained to agree with them were more
robust (Li et al. 2019). The authors replace the neurons by pixels: with S^pixel_ij the cosine of two images, and
S^Th_ij its thresholded form, the loss of a batch becomes

    L = L_task + alpha * L_sim,   L_sim comparing S^CNN_ij with S^Th_ij over pairs of images (i, j).

A pair above the threshold is to be taken for one image (features alike), every other pair for two that have nothing in
common (features orthogonal).

    targets    what the similarity should be            (equation 5, its parts, and controls)
    pairs      which pairs, in which order
    features   what the network finds                   (equations 3 and 4)
    loss       how far apart the two are                (equation 2, and the released code's form of it)
    term       all of it, in a training
"""

from bioinspired.defenses.pixel_similarity.term import PixelSimilarity, cropped, regularizer

__all__ = ["PixelSimilarity", "cropped", "regularizer"]
