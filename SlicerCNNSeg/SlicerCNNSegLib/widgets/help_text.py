"""What the help of both modules says alike; its links open in a browser."""

from slicer.i18n import tr as _

HOMEPAGE = "https://github.com/CNNSeg/SlicerCNNSeg"
"""As in the extension's CMakeLists.txt."""

MORE = _('<p>More in the <a href="{url}">documentation</a>.</p>').format(url=f"{HOMEPAGE}#readme")

LIBRARIES = _(
    'The networks run on <a href="https://pytorch.org">PyTorch</a> and <a href="https://monai.io">MONAI</a>. '
    "Each model names the data it was trained on and its licence in its own model card."
)
