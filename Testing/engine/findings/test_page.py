"""The page of findings: what it says, that text is escaped, and that its pictures are pictures of the finding."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from nodule_phantoms import Nodule, insert

from SlicerCNNSegLib.engine.errors import OutputError
from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.finding import Finding, Measurements
from SlicerCNNSegLib.engine.findings.growth import growth
from SlicerCNNSegLib.engine.findings.key_images import OUTLINE_COLOR, draw_key_images, key_image_png
from SlicerCNNSegLib.engine.findings.match import Match
from SlicerCNNSegLib.engine.findings.measure import measure
from SlicerCNNSegLib.engine.findings.page import page_html, write_page
from SlicerCNNSegLib.engine.volume import Volume

MEASURED = Measurements("part-solid", 1234.4, 14.2, 12.0, -412.4, -803.0, 200.0, 6.3)
FINDING = Finding("n-1", OrientedBox((40, -20, 10), (14, 14, 14)), 0.91, {}, MEASURED, "right lung, upper third")


class Reader(HTMLParser):
    """Collects the tags, and the text outside of the style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_what_the_page_says():
    findings = [
        replace(FINDING, category="4A", malignancy=0.25),
        Finding("n-2", OrientedBox((0, 0, 0), (5, 5, 5)), 0.4, status="rejected", category="4B"),
    ]
    matches = [Match("a", "n-1", "grown", 2.5, growth(100, 200, 90)), Match(None, "n-2", "new")]
    text = Reader(
        page_html(findings, {}, title="Chest", notes=["By demo 1.0"], warnings=["Cut off"], matches=matches)
    ).text
    for words in (
        "2 findings",
        "right lung, upper third part-solid 13.1 mm 1,234 mm³ 0.91 0.25 4A undecided",
        "Axial diameters 14.2 x 12.0 mm; Solid part 6.3 mm, 200 mm³; Mean -412 HU",
        "of the scan: 4A (rejected findings left out",
        "+100% (+60% to +150%) 90 days (68 to 133)",
        "so it was not measured",
        "By demo 1.0",
        "Cut off",
        "not for diagnosis without a reader",
    ):
        assert words in text


def test_a_page_without_findings():
    reader = Reader(page_html([], {}, title="Chest"))
    assert "No findings" in reader.text
    assert "table" not in reader.tags


def test_text_from_outside_is_escaped():
    evil = '<script>alert(1)</script>"&'
    finding = Finding("n-1", FINDING.box, 0.5, location=evil)
    page = page_html([finding], {}, title=evil, notes=[evil], warnings=[evil], matches=[Match(evil, evil, evil)])
    reader = Reader(page)
    assert "script" not in reader.tags
    assert reader.text.count(evil) >= 7


def test_pictures_show_box_and_outline(tmp_path):
    matrix = np.diag([-1.0, -1.0, 1.5, 1.0])
    noise = np.random.default_rng(0).normal(-850, 20, (1, 50, 80, 80)).astype(np.float32)
    volume = Volume(noise, matrix, modality="CT")
    place = tuple(volume.geometry.ras_from_ijk((40, 30, 25)))
    phantom = insert(volume, [Nodule(place, (12, 12, 12))], np.random.default_rng(0))
    box = phantom.truths[0].box
    measurements, nodule = measure(phantom.volume, box)
    finding = Finding("n-1", box, 0.9, {}, measurements)
    figure = draw_key_images(phantom.volume, finding, nodule)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Axial, S 38 mm",
        "Coronal, P 30 mm",
        "Sagittal, L 40 mm",
    ]
    for axes in figure.axes:
        (frame,) = axes.patches
        assert 10 <= frame.get_width() <= 14
        assert 10 <= frame.get_height() <= 14
        left, right = axes.get_xlim()
        assert frame.get_x() + frame.get_width() / 2 == pytest.approx((left + right) / 2)
        assert len(axes.collections) == 1  # the outline
    write_page(tmp_path / "page.html", [finding], {"n-1": key_image_png(phantom.volume, finding, nodule)}, title="t")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (picture,) = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    pixels = imread(io.BytesIO(base64.b64decode(picture)))
    assert (np.abs(pixels[..., :3] - OUTLINE_COLOR).max(axis=-1) < 0.1).sum() > 200
    bare = draw_key_images(phantom.volume, Finding("n-2", box, 0.9), None)
    assert [len(axes.collections) for axes in bare.axes] == [0, 0, 0]


def test_a_place_that_cannot_be_written_to(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        write_page(tmp_path, [], {}, title="t")
