"""Findings that are there already, through the front door: two dates compared, and their page."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_detector import BALLS_RAS_MM, chest, write_tiny_detector

from SlicerCNNSegLib.engine.errors import InputError, SettingsError
from SlicerCNNSegLib.engine.findings.match import Match
from SlicerCNNSegLib.engine.findings.review import ComparisonSettings, PageSettings
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import DetectionSettings

SHIFT_MM = 12.0


@pytest.fixture(scope="module")
def two_dates(tmp_path_factory):
    """Two balls, and later only the first one, with the patient lying elsewhere: images and findings."""
    folder = write_tiny_detector(tmp_path_factory.mktemp("models") / "balls")
    volumes = [chest(), chest(BALLS_RAS_MM[:1], shift_mm=SHIFT_MM)]
    return volumes, [run(DetectionSettings(str(folder)), [volume]).findings for volume in volumes]


def test_a_ball_that_stays_and_one_that_goes(two_dates):
    volumes, (earlier, later) = two_dates
    assert (len(earlier), len(later)) == (2, 1)
    found = run(ComparisonSettings(earlier, later, 100.0), volumes)
    stays, goes = found.matches
    assert (stays.verdict, goes.verdict, goes.later) == ("stable", "gone", None)
    assert stays.later == later[0].id
    assert stays.distance_mm < 6.0
    (gone,) = found.gone
    assert gone.id == goes.earlier
    where = np.add(BALLS_RAS_MM[1], (0, 0, SHIFT_MM))
    assert np.linalg.norm(gone.center_ras_mm - where) < 6.0, "at the later date it would be there"
    assert [Match.from_json(match.to_json()) for match in found.matches] == list(found.matches)


def test_a_page_has_a_picture_of_each_finding_and_what_became_of_it(two_dates):
    (volume, _later), (findings, _) = two_dates
    matches = (Match("N07", "N01", "stable", 1.0), Match(None, "N02", "new"))
    page = run(PageSettings(findings, "<chest>", ("by balls",), ("beware",), matches), [volume]).html
    assert page.count("data:image/png;base64,") == 2
    assert "<h1>&lt;chest&gt;</h1>" in page
    assert all(text in page for text in ("by balls", "beware", "N07", "<td>new</td>"))


def test_dates_and_volumes_are_checked(two_dates):
    volumes, (earlier, later) = two_dates
    with pytest.raises(SettingsError, match=r"days above 0 between the two dates, got 0"):
        ComparisonSettings(earlier, later, 0)
    with pytest.raises(InputError, match=r"the CTs of two dates, the earlier one first, got 1"):
        run(ComparisonSettings(earlier, later, 1.0), volumes[:1])
