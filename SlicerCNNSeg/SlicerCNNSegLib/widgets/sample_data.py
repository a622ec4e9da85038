"""Images to try the module on, in Slicer's module *Sample Data*."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

CATEGORY = "CNNSeg"

TESTING_DATA = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"
"""Where Slicer's own samples are, each under its checksum."""


@dataclass(frozen=True)
class Sample:
    """An image: its name in the scene, its file, and its SHA-256, by which it is found and verified."""

    name: str
    file: str
    sha256: str


SAMPLES = (
    Sample("CTChest", "CT-chest.nrrd", "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"),
    Sample("MRHead", "MR-head.nrrd", "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"),
)
"""Slicer's chest CT, for *Detect & follow up*, and its head MR, for the hippocampus with a region around it."""


def register_sample_data() -> None:
    """Add the images to *Sample Data*; nothing is fetched before somebody asks for one."""
    import SampleData

    told = {"CTChest": _("Chest CT, to search for nodules"), "MRHead": _("Head MR, to segment a hippocampus")}
    for sample in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=told[sample.name],
            uris=TESTING_DATA + sample.sha256,
            fileNames=sample.file,
            nodeNames=sample.name,
            checksums=f"SHA256:{sample.sha256}",
        )
