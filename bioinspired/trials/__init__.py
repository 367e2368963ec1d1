"""What can be asked for: networks, measurements, trials. Declarations only; nothing here computes or imports torch.

    network      data x architecture x defense x recipe x seed            -> one training, one record
    measurement  one question asked of a network, on one set of images    -> an entry of that record
    trial        a network, the measurements a study wants of it, and what the study calls it

Every class is a frozen configuration in the sense of `bioinspired.keys`; strengths are exact numbers as text. A
chapter's own defenses and questions stand in the file that is named after its study.
"""

from bioinspired.trials.defective_conv import ConfidentTransfer, DefectiveConv, Dropout, JPEGInput, Striking
from bioinspired.trials.dim import (
    DIM,
    Adaptive,
    BinaryInput,
    ClassPCA,
    DenoisedCNN,
    Direct,
    Flips,
    InternalErrors,
    LogitScale,
    Member,
    NearestNeighbour,
)
from bioinspired.trials.networks import Architecture, Data, Defense, Network, Norm, PGDTraining, Recipe
from bioinspired.trials.pixel_similarity import (
    Blur,
    CommonCorruptions,
    FeatureAttack,
    PixelSimilarity,
    RadialSpectrum,
    Similarities,
    TrainingCost,
)
from bioinspired.trials.questions import (
    Attack,
    Checked,
    Clean,
    Corruption,
    Distance,
    Gallery,
    GradientNorm,
    Loss,
    Question,
)
from bioinspired.trials.studies import PAPERS_SCHEDULE, Images, Measurement, Scale, Study, Tier, Trial
from bioinspired.trials.weight_map import Band, GradientSpectrum, Maps, Rescaled, Shift, Variance, WeightMap

__all__ = [
    "DIM",
    "PAPERS_SCHEDULE",
    "Adaptive",
    "Architecture",
    "Attack",
    "Band",
    "BinaryInput",
    "Blur",
    "Checked",
    "ClassPCA",
    "Clean",
    "CommonCorruptions",
    "ConfidentTransfer",
    "Corruption",
    "Data",
    "DefectiveConv",
    "Defense",
    "DenoisedCNN",
    "Direct",
    "Distance",
    "Dropout",
    "FeatureAttack",
    "Flips",
    "Gallery",
    "GradientNorm",
    "GradientSpectrum",
    "Images",
    "InternalErrors",
    "JPEGInput",
    "LogitScale",
    "Loss",
    "Maps",
    "Measurement",
    "Member",
    "NearestNeighbour",
    "Network",
    "Norm",
    "PGDTraining",
    "PixelSimilarity",
    "Question",
    "RadialSpectrum",
    "Recipe",
    "Rescaled",
    "Scale",
    "Shift",
    "Similarities",
    "Striking",
    "Study",
    "Tier",
    "TrainingCost",
    "Trial",
    "Variance",
    "WeightMap",
]
