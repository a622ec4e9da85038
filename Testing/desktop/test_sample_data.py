"""What the module adds to Slicer's Sample Data."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def registered(desktop, monkeypatch):
    """What is registered once Slicer has started up."""
    sources = []
    logic = SimpleNamespace(registerCustomSampleDataSource=lambda **source: sources.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=logic))
    import SlicerCNNSeg

    SlicerCNNSeg.registerSampleData()
    return sources


def test_each_sample_is_fetched_by_the_checksum_that_verifies_it(registered):
    assert [source["nodeNames"] for source in registered] == ["CTChest", "MRHead"]
    for source in registered:
        algorithm, digest = source["checksums"].split(":")
        assert (algorithm, len(digest)) == ("SHA256", 64)
        assert source["uris"].startswith("https://")
        assert source["uris"].endswith(f"/SHA256/{digest}")
        assert source["category"] == "CNNSeg"
        assert source["fileNames"].endswith(".nrrd")


def test_it_happens_when_slicer_has_started_up(desktop, monkeypatch):
    """As the extension guidelines ask: not while modules are still being loaded."""
    import slicer

    import SlicerCNNSeg

    calls = {}
    monkeypatch.setattr(
        slicer.app, "connect", lambda signal, call: calls.setdefault(signal, []).append(call), raising=False
    )
    SlicerCNNSeg.SlicerCNNSeg(SimpleNamespace())
    assert SlicerCNNSeg.registerSampleData in calls["startupCompleted()"]
    assert SlicerCNNSeg.registerSegmentEditorEffect in calls["startupCompleted()"]
