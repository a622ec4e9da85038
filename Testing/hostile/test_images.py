"""Five hundred damaged or forged images: a volume that can be one, or an error in words; no crash, hang or flood."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile.images import SIZE_IJK, cut, voxels, write_corpus

COUNT = 500
ROOM_MB = 200
HONEST_KJI = [SIZE_IJK, (*SIZE_IJK[:2], 5), (*SIZE_IJK[:2], 1)]
"""Of the files that hold all, of the series and of its single slice; the order does not matter."""

DEFLATE = 1032
"""Times that the best-packed bytes grow when they are unpacked (zlib's technical notes)."""


def read_all(paths, environment):
    """What ``image_reader.py`` finds of each; of one that ends it, how."""
    found = []
    while len(found) < len(paths):
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("image_reader.py")],
            input="\n".join(map(str, paths[len(found) :])),
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        found += [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode:
            found.append({"fault": f"ended with {done.returncode}: {done.stderr[-500:]}", "peak_mb": 0})
    return found


@pytest.mark.skipif(os.name == "nt", reason="the memory of the reading process is measured on POSIX systems")
def test_mutated_images_are_volumes_or_errors_in_words(tmp_path, request):
    corpus = write_corpus(tmp_path, COUNT)
    root = request.config.rootpath
    environment = {**os.environ, "PYTHONPATH": str(root / "SlicerCNNSeg"), "OMP_NUM_THREADS": "1"}
    found = read_all([path for path, _ in corpus], environment)
    told = [f"{path.name}, {mutation.__name__}: {one}" for (path, mutation), one in zip(corpus, found, strict=True)]
    assert [text for text, one in zip(told, found, strict=True) if "fault" in one] == []
    assert sum("error" in one for one in found) > COUNT / 4
    assert sum("valid" in one for one in found) > COUNT / 4
    assert max(one["peak_mb"] for one in found) - found[0]["peak_mb"] < ROOM_MB
    for (path, mutation), one, text in zip(corpus, found, told, strict=True):
        if "error" in one:
            assert path.name in one["message"], text
            assert one["message"].isprintable(), text
            assert len(one["message"]) < 700, text
        else:
            size = path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.iterdir())
            assert one["valid"], text
            assert one["bytes"] <= DEFLATE * size, text
            assert mutation is not cut or "missing slice" in one["notes"][0], text
            assert mutation is not voxels or sorted(one["shape"][1:]) in map(sorted, HONEST_KJI), text
