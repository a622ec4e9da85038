"""What is said of the Model Zoo's bundles holds: against the published list, the reader, and the page."""

import json
import os
import re
from pathlib import Path

import pytest
from zoo_table import BEGIN, END, PAGE, with_table

from SlicerCNNSegLib.engine.bundles.names import DETECTION_INFERER, IDLE, UNREAD, WORLD_STEPS
from SlicerCNNSegLib.engine.configs.names import Names
from SlicerCNNSegLib.engine.store.zoo import REFUSED, RUNS, WITH_TRUST, zoo_entries

CATALOGUE = Path(os.environ.get("CNNSEG_DATA", "../shared/data")) / "model_zoo_catalogue.json"
NAMES = Names(idle=IDLE | WORLD_STEPS, unread=UNREAD)
COMPONENT = re.compile(r"\b(?:[a-z_]\w*\.)+[A-Z]\w+|\b(?:[A-Z][a-z]+){2,}\w*\b")
"""A dotted name that ends in a class, or a class of MONAI's."""


def test_the_page_has_every_bundle():
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert with_table(page) == page, "run Testing/zoo_table.py"
    assert all(f"| `{entry.id}` |" in page for entry in zoo_entries())


@pytest.mark.skipif(not CATALOGUE.is_file(), reason="needs CNNSEG_DATA")
def test_the_bundles_are_those_that_were_published():
    published = json.loads(CATALOGUE.read_text(encoding="utf-8"))["models"]
    found = {entry.id: (entry.version, entry.url, entry.sha1) for entry in zoo_entries()}
    archives = {one["name"]: (one["version"], one["archive"]["url"], one["archive"]["sha1"]) for one in published}
    assert found == archives


def test_what_is_not_run_names_something_that_the_reader_refuses():
    named = {entry.id: COMPONENT.findall(entry.reason) for entry in zoo_entries() if entry.status != RUNS}
    assert sum(map(bool, named.values())) >= 9
    for bundle, components in named.items():
        for name in components:
            assert NAMES.component(name) is None, (bundle, name)
            assert NAMES.function(name) is None, (bundle, name)


def test_trust_is_for_own_code_alone():
    assert all(entry.reason.startswith("own code: scripts.") for entry in zoo_entries() if entry.status == WITH_TRUST)
    assert {entry.status for entry in zoo_entries()} == {RUNS, WITH_TRUST, REFUSED}


def test_the_reader_knows_the_zoos_detection_inferer_by_name_alone():
    assert NAMES.component(DETECTION_INFERER) is None
