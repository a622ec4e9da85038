"""What a config may name: everything that is not here is refused.

A dotted name of a config is never followed through modules. It is looked up here as text, whole, and
only then is the one object fetched that the table says. So no module object is ever in reach of an
expression, and what a module happens to import (``torch.os``) cannot be named.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .functions import FUNCTIONS

ROOTS = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}
"""Names that are known without an import statement, as in MONAI."""

_TORCH_TYPES = "float16 bfloat16 float32 float64 half float double uint8 int8 int16 int32 int64 short int long bool"
_NUMPY_TYPES = "float16 float32 float64 uint8 uint16 uint32 uint64 int8 int16 int32 int64 bool_"
VALUES: Mapping[str, frozenset[str]] = {
    "math": frozenset({"e", "inf", "nan", "pi"}),
    "numpy": frozenset({"e", "inf", "nan", "pi", *_NUMPY_TYPES.split()}),
    "torch": frozenset({"inf", "nan", "pi", *_TORCH_TYPES.split()}),
}
"""Values by module."""

CONSTANTS: Mapping[str, str] = {
    f"monai.utils{module}.CommonKeys.{name.upper()}": name
    for module in ("", ".enums")
    for name in ("image", "label", "pred")
}
"""MONAI's names for the keys of a batch, by dotted name: texts, so that no class has to be reached."""

FILE_STEPS = frozenset({"LoadImage", "LoadImaged", "SaveImage", "SaveImaged"})
"""Transforms that read or write files: they come out as ``components.FileStep``, which does neither."""

_ARRAY_TRANSFORMS = """
    Activations AsChannelFirst AsChannelLast AsDiscrete BorderPad CastToType CenterScaleCrop CenterSpatialCrop
    ClipIntensityPercentiles Compose CropForeground DivisiblePad EnsureChannelFirst EnsureType FillHoles Flip
    GaussianSmooth HistogramNormalize Identity KeepLargestConnectedComponent LabelToMask LoadImage MaskIntensity
    MeanEnsemble MedianSmooth NormalizeIntensity Orientation ProbNMS RemoveSmallObjects RepeatChannel Resize
    ResizeWithPadOrCrop Rotate90 SaveImage ScaleIntensity ScaleIntensityRange ScaleIntensityRangePercentiles
    ShiftIntensity SpatialCrop SpatialPad SpatialResample Spacing SqueezeDim ThresholdIntensity
    ToTensor Transpose VoteEnsemble
"""
_DICTIONARY_TRANSFORMS = """
    Activationsd AsChannelFirstd AsChannelLastd AsDiscreted BorderPadd CastToTyped CenterScaleCropd CenterSpatialCropd
    ClipIntensityPercentilesd ConcatItemsd ConvertToMultiChannelBasedOnBratsClassesd CopyItemsd CropForegroundd
    DeleteItemsd DivisiblePadd EnsureChannelFirstd EnsureTyped FillHolesd FlattenSubKeysd Flipd GaussianSmoothd
    HistogramNormalized Identityd Invertd KeepLargestConnectedComponentd LabelToMaskd LoadImaged MaskIntensityd
    MeanEnsembled MedianSmoothd NormalizeIntensityd Orientationd RemoveSmallObjectsd RepeatChanneld
    ResampleToMatchd Resized ResizeWithPadOrCropd Rotate90d SaveImaged ScaleIntensityd ScaleIntensityRanged
    ScaleIntensityRangePercentilesd SelectItemsd ShiftIntensityd SpatialCropd SpatialPadd SpatialResampled Spacingd
    SqueezeDimd ThresholdIntensityd ToTensord Transposed VoteEnsembled
"""
_NETWORKS = """
    AHNet AttentionUnet BasicUNet BasicUNetPlusPlus DenseNet DenseNet121 DenseNet169 DenseNet201 DenseNet264 DiNTS
    DynUNet EfficientNetBN FlexibleUNet HighResNet HoVerNet ResNet SEResNet101 SEResNet152 SEResNet50 SEResNext101
    SEResNext50 SegResNet SegResNetDS SegResNetDS2 SegResNetVAE SwinUNETR TopologyInstance TopologySearch
    TorchVisionFCModel UNETR UNet ViT VNet resnet10 resnet18 resnet34 resnet50 resnet101 resnet152 resnet200
"""
_DETECTION = "monai.apps.detection"
COMPONENTS: Mapping[str, frozenset[str]] = {
    "monai.transforms": frozenset(f"{_ARRAY_TRANSFORMS} {_DICTIONARY_TRANSFORMS}".split()),
    "monai.networks.nets": frozenset(_NETWORKS.split()),
    "monai.inferers": frozenset({"SimpleInferer", "SlidingWindowInferer", "SliceInferer", "SlidingWindowInfererAdapt"}),
    f"{_DETECTION}.networks.retinanet_network": frozenset({"RetinaNet", "resnet_fpn_feature_extractor"}),
    f"{_DETECTION}.networks.retinanet_detector": frozenset({"RetinaNetDetector"}),
    f"{_DETECTION}.utils.anchor_utils": frozenset({"AnchorGenerator", "AnchorGeneratorWithAnchorShape"}),
    f"{_DETECTION}.transforms.dictionary": frozenset(
        {"AffineBoxToWorldCoordinated", "ClipBoxToImaged", "ConvertBoxModed", "ConvertBoxToStandardModed"}
    ),
    "torch.nn": frozenset({"Identity", "ReLU", "Sigmoid", "Softmax"}),
}
"""Classes, and functions that make objects, by the module that they are fetched from."""

STAND_INS = frozenset({"TorchVisionFCModel", "resnet_fpn_feature_extractor"})
"""Components that MONAI makes with torchvision: ``stand_ins.py`` makes them without."""

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "numpy.ndarray": frozenset({"dtype", "ndim", "shape", "size"}),
    "torch.Tensor": frozenset({"device", "dtype", "ndim", "shape"}),
    "torch.device": frozenset({"index", "type"}),
}
"""Attributes that may be read, by the class of the object."""

METHODS: Mapping[str, frozenset[str]] = {
    "builtins.dict": frozenset({"get", "items", "keys", "values"}),
    "builtins.list": frozenset({"count", "index"}),
    "builtins.str": frozenset(
        {"endswith", "lower", "lstrip", "rsplit", "rstrip", "split", "startswith", "strip", "upper"}
    ),
    "builtins.tuple": frozenset({"count", "index"}),
    "numpy.generic": frozenset({"item"}),
    "numpy.ndarray": frozenset({"item", "tolist"}),
    "torch.Tensor": frozenset({"item", "tolist"}),
    "torch.nn.modules.module.Module": frozenset({"eval", "to"}),
    f"{_DETECTION}.networks.retinanet_detector.RetinaNetDetector": frozenset(
        {"set_box_selector_parameters", "set_sliding_window_inferer", "set_target_keys"}
    ),
}
"""Methods that may be called, by the class of the object."""


@dataclass(frozen=True)
class Component:
    """An entry of ``COMPONENTS``.

    Parameters
    ----------
    module, name:
        Where it is fetched from.
    idle:
        It comes out as ``components.FileStep``, which does nothing.
    unread:
        Its arguments stay as they are written, nothing in them is evaluated; only idle ones may be so.
    """

    module: str
    name: str
    idle: bool = False
    unread: bool = False

    @property
    def path(self) -> str:
        """The dotted name."""
        return f"{self.module}.{self.name}"

    def fetch(self) -> Callable[..., Any] | None:
        """The class or function, or None when the installed version has none of that name."""
        if self.name in STAND_INS:
            return getattr(importlib.import_module(".stand_ins", __package__), self.name, None)
        return getattr(importlib.import_module(self.module), self.name, None)


@dataclass(frozen=True)
class Names:
    """What one reader allows: the tables of this module, and what its maker adds.

    Parameters
    ----------
    extra:
        Functions by dotted name (``torch.load``), to allow what is refused otherwise in a form
        that is safe. They get what the config gives, and have to check it.
    idle:
        Further transforms that do nothing, as those in ``FILE_STEPS``.
    unread:
        Transforms that do nothing and whose arguments are not even looked at.
    """

    extra: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()

    def function(self, path: str) -> Callable[..., Any] | None:
        """The function of that dotted name, or None."""
        return self.extra.get(path) or FUNCTIONS.get(path)

    def component(self, path: str) -> Component | None:
        """The component of that name, short (``UNet``) or dotted, or None.

        A dotted name may go by the module where MONAI defines the component, or any package above
        it, as MONAI's documentation and bundles do.
        """
        module, _, name = path.rpartition(".")
        if name.endswith("Dict") or (name.endswith("D") and name[:-1] + "d" in COMPONENTS["monai.transforms"]):
            name = name.removesuffix("Dict").removesuffix("D") + "d"
        idle = name in FILE_STEPS | self.idle | self.unread
        homes = [home for home, members in COMPONENTS.items() if name in members]
        for home in homes or (["monai.transforms"] if idle else []):
            found = Component(home, name, idle, name in self.unread)
            if module == home or ("." not in path and home.startswith("monai.")):
                return found
            if module.startswith("monai.") and self.is_below(found, module):
                return found
        return None

    def is_below(self, component: Component, module: str) -> bool:
        """Whether MONAI defines the component in that module or in one of its packages."""
        home = getattr(component.fetch(), "__module__", component.module)
        home = component.module if component.name in STAND_INS else home
        return f"{home}.".startswith(f"{module}.")

    def has_value(self, path: str) -> bool:
        """Whether a value of that dotted name is in the table."""
        module, _, name = path.rpartition(".")
        return path in CONSTANTS or name in VALUES.get(module, ())

    def value(self, path: str) -> Any:
        """The value that ``has_value`` knows."""
        if path in CONSTANTS:
            return CONSTANTS[path]
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)

    def near(self, path: str) -> str:
        """What is allowed instead, for a message."""
        root = path.partition(".")[0]
        functions = sorted(name for name in (*FUNCTIONS, *self.extra) if name.partition(".")[0] == root)
        if root == "monai" or ("." not in path and path[:1].isupper()):
            return "the networks, inferers and transforms listed in CNNSeg's engine/configs/names.py"
        if functions:
            return ", ".join([*functions, *([f"the number types of {root}"] if root in ("numpy", "torch") else [])])
        return "names of monai, torch, numpy, math and os.path, and simple functions such as len"


def allowed_of(table: Mapping[str, frozenset[str]], value: Any) -> frozenset[str]:
    """The names that ``ATTRIBUTES`` or ``METHODS`` has for an object, by its class and those above it."""
    classes = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(value).__mro__)
    return frozenset().union(*(table.get(name, frozenset()) for name in classes))
