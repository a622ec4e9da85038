"""Which segments a model's structures belong to."""

from __future__ import annotations

import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.labels import Code, Label
from SlicerCNNSegLib.scene.segment_matching import match_segments

pytestmark = pytest.mark.slicer

LIVER = Label(1, "Liver", (0.8, 0.4, 0.3), type=Code("SCT", "10200004", "Liver"))
KIDNEY = Label(2, "Kidney", (0.7, 0.2, 0.2), type=Code("SCT", "64033007", "Kidney"))
LEFT_KIDNEY, RIGHT_KIDNEY = KIDNEY.on_side("left", 2), KIDNEY.on_side("right", 3)
LESION = Label(4, "Lesion", (1.0, 1.0, 0.0))


@pytest.fixture
def a_drawing(a_segmentation, slicer):
    """A segmentation with segments of these names and, where given, terminologies; ids are s0, s1, ..."""

    def make(*segments: tuple[str, str]):
        segmentation = a_segmentation(None, {}).GetSegmentation()
        for number, (name, terminology) in enumerate(segments):
            segment = slicer.vtkSegment()
            segment.SetName(name)
            segment.SetTerminology(terminology or segment.GetTerminology())
            segmentation.AddSegment(segment, f"s{number}")
        return segmentation

    return make


def told(matches):
    return [(match.label.name, match.segment_id, match.is_sure) for match in matches]


def test_nothing_drawn_makes_new_segments(a_drawing):
    assert told(match_segments((LIVER, LESION), a_drawing())) == [("Liver", "", True), ("Lesion", "", True)]


def test_codes_go_before_names(a_drawing):
    drawing = a_drawing(("Liver", ""), ("Leber", LIVER.terminology))
    assert told(match_segments((LIVER,), drawing)) == [("Liver", "s1", True)]


def test_meanings_and_contexts_of_codes_do_not_matter(a_drawing):
    elsewhere = LIVER.terminology.replace("^Liver", "^Hepar").replace("DICOM master list", "My list")
    assert told(match_segments((LIVER,), a_drawing(("organ", elsewhere)))) == [("Liver", "s0", True)]


def test_sides_are_told_apart(a_drawing):
    drawing = a_drawing(("a", RIGHT_KIDNEY.terminology), ("b", LEFT_KIDNEY.terminology))
    assert told(match_segments((LEFT_KIDNEY, RIGHT_KIDNEY), drawing)) == [
        ("Left kidney", "s1", True),
        ("Right kidney", "s0", True),
    ]


def test_names_whatever_their_case_and_spacing(a_drawing):
    drawing = a_drawing(("LEFT_KIDNEY", ""), ("lesion", ""))
    assert told(match_segments((LESION, LEFT_KIDNEY), drawing)) == [
        ("Lesion", "s1", True),
        ("Left kidney", "s0", True),
    ]


def test_what_slicer_gives_every_segment_is_no_code(a_drawing, slicer):
    tissue = LESION.with_terminology(slicer.vtkSegment().GetTerminology())
    assert tissue.type is not None
    assert told(match_segments((tissue,), a_drawing(("Segment_1", ""), ("Segment_2", "")))) == [("Lesion", "", True)]


def test_of_segments_with_the_same_codes_the_one_with_the_name_is_taken(a_drawing):
    drawing = a_drawing(("other", LIVER.terminology), ("liver", LIVER.terminology))
    assert told(match_segments((LIVER,), drawing)) == [("Liver", "s1", True)]


def test_several_segments_are_asked_for(a_drawing):
    drawing = a_drawing(("left lobe", LIVER.terminology), ("right lobe", LIVER.terminology), ("Lesion", ""))
    assert told(match_segments((LIVER, LESION), drawing)) == [("Liver", "s0", False), ("Lesion", "s2", True)]


def test_a_segment_that_two_labels_lay_claim_to_is_asked_for(a_drawing):
    front, back = (Label(n, name, (1, 0, 0), type=LIVER.type) for n, name in ((1, "Front"), (2, "Back")))
    drawing = a_drawing(("Liver", LIVER.terminology))
    assert told(match_segments((front, back, LESION), drawing)) == [
        ("Front", "s0", False),
        ("Back", "s0", False),
        ("Lesion", "", True),
    ]
