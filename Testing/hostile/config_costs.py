"""Hostile configs that want much work or much memory for few words."""

from __future__ import annotations

from .config_making import add, target

WORK = "more work than"
for name, source, reason, text in (
    ("split", "[@a.split('b') for i in range(20000)]", WORK, "b" * 19_998),
    ("lower", "[@a.lower() for i in range(20000)]", WORK, "A" * 19_998),
    ("list", "[list(@a) for i in range(20000)]", WORK, "a" * 19_998),
    ("enumerate", "[enumerate(@a) for i in range(2000)]", WORK, "a" * 19_998),
    ("slices", "[@a[1:] for i in range(20000)]", WORK, "a" * 19_998),
    ("slices_of_lists", "[@a[:] for i in range(20000)]", WORK, "$[0] * 19998"),
    ("tolist", "[@a.tolist() for i in range(2000)]", WORK, "$numpy.array([0.5] * 19000)"),
    ("strip", "[@a.strip('b' * 19990 + 'a') for i in range(300)]", WORK, "a" * 19_998),
    ("float", "[float(@a) for i in range(20000)]", WORK, "1" * 19_998),
    ("equal_hashes", "{i * (2**61 - 1) for i in range(20000)}", "20000 keys; dicts and sets of at most", ""),
    ("equal_hashes_in_set", "set([i * (2**61 - 1) for i in range(15000)])", "expected at most 1000 items", ""),
    ("equal_hashes_in_dict", "{**@a, **{i + 1: 0 for i in range(999)}}", "keys; dicts", "${-i: 0 for i in range(999)}"),
    (
        "equal_hashes_as_names",
        "dict(**@a, **{i: 0 for i in range(999)})",
        "keys; dicts",
        "${-i: 0 for i in range(999)}",
    ),
    ("key_of_max", "max([1.0], key=@a)", "unexpected keyword", {"_target_": "Resize", "spatial_size": [9999, 9999]}),
    ("key_of_sorted", "sorted([1.0], key=@a)", "unexpected keyword", {"_target_": "Activations", "sigmoid": True}),
):
    add(f"work_{name}", f"${source}", reason, a=text)
target("depths", "SwinUNETR", "with depths=1000000", in_channels=1, out_channels=1, depths=[10**6] * 4)
target("layers", "ResNet", "with layers=1000000", block="basic", layers=[10**6, 1, 1, 1], block_inplanes=[1] * 4)
_BACKBONE = "monai.networks.nets.resnet10(spatial_dims=3, n_input_channels=1, widen_factor=0.1)"
_PYRAMID = "monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor"
add(
    "method_that_fills_memory",
    "$@a.set_sliding_window_inferer([1200] * 3, 1, 0.5, 'constant', 0.1, 'constant', 0, None, 'cpu', False, True)",
    "set_sliding_window_inferer with cache_roi_weight_map=True",
    a={
        "_target_": "RetinaNetDetector",
        "network": {"_target_": "RetinaNet", "spatial_dims": 3, "num_classes": 1, "num_anchors": 1,
                    "feature_extractor": f"${_PYRAMID}({_BACKBONE}, 3, False, [1], None)", "size_divisible": 8},
        "anchor_generator": {"_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
                             "feature_map_scales": [1], "base_anchor_shapes": [[6, 8, 4]]},
        "spatial_dims": 3, "num_classes": 1, "size_divisible": 8,
    },
)  # fmt: skip
