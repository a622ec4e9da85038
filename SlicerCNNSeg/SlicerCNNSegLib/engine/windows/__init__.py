"""A network over a whole image: windows, blending, mirroring, ensembles, and back to the image's grid."""

from .inferer import Inferer
from .labels import most_probable
from .planes import Planes, class_probabilities, predict_planes

__all__ = ["Inferer", "Planes", "class_probabilities", "most_probable", "predict_planes"]
