"""What a bundle's config may name beyond the tables of ``engine/configs``, and what the run does in its place."""

from __future__ import annotations

LOADING = frozenset({"LoadImage", "LoadImaged"})
IDLE = frozenset(
    {
        *LOADING,
        *("SaveImage", "SaveImaged", "SaveClassification", "SaveClassificationd"),
        *("AddChannel", "AddChanneld", "AsChannelFirst", "AsChannelFirstd"),
        *("EnsureChannelFirst", "EnsureChannelFirstd"),
    }
)
"""Transforms that do nothing here: a ``Volume`` comes in channel first, and a ``Result`` goes out."""

UNREAD = frozenset({"Lambda", "Lambdad"})
"""Transforms around a function, which is code. Behind ``AsDiscreted`` they only bring labels into the form of a file
(``reading.py`` sees to it), which is left out; elsewhere they are refused."""

DISCRETE = frozenset({"AsDiscrete", "AsDiscreted"})
SLICE_INFERER = "SliceInferer"
PREPROCESSING, NETWORK, INFERER, POSTPROCESSING = "preprocessing", "network_def", "inferer", "postprocessing"
DETECTOR, DETECTOR_STEPS = "detector", "detector_ops"
"""Ids of what is taken from a config."""

SEGMENTATION, DETECTION, CLASSIFICATION = "segmentation", "detection", "classification"
"""Tasks of the bundles that are run."""

WORLD_STEPS = frozenset({"AffineBoxToWorldCoordinated", "ConvertBoxModed", "ConvertBoxToStandardModed"})
"""Transforms that bring a detector's boxes into the world or write them in another form: the run does that itself."""

DETECTION_INFERER = "scripts.detection_inferer.RetinaNetInferer"
"""What the Model Zoo's detection bundles call their inferer. The file is not run: the run does what the Zoo's does."""

FORCE_WINDOWS = "force_sliding_window"
"""Its one option: windows also over an image with fewer voxels than one of them."""

RAW_IMAGES = "whether_raw_luna16"
"""By this switch the same bundles tell images as they are from such that were resampled before: here they are as they
are, and resampling one that was resampled changes nothing."""

TORCHVISION_NETWORK = "TorchVisionFCModel"
TORCHVISION_KNOWN: dict[str, object] = {"model_name": "inception_v3", "pool": None}
"""The one network of torchvision's that ``configs/stand_ins.py`` builds."""

AFTER_CLASSES = frozenset({"Activationsd", "AsDiscreted", "ToTensord", "EnsureTyped"})
"""What may stand in the postprocessing of a classification. The activation is taken from it; the others only bring
the probabilities into another form."""
LARGEST_OF_ARRAYS = 4 * 2**20
"""Bytes of a ``.pt`` file that may hold arrays of numpy besides tensors."""
