"""Texts that want to be more than text."""

from __future__ import annotations

from pathlib import Path

from .making import SECRET, Files, artefact, metadata_with, with_changes


@artefact(r"its title has control characters")
def escape_in_title(folder: Path, files: Files) -> Path:
    title = "Spleen\x1b]0;evil\x07\x1b[2J"
    return with_changes(folder, files, metadata_with(files, lambda data: data["cnnseg"].update(title=title)))


@artefact(r"its labels has control characters")
def reversed_label(folder: Path, files: Files) -> Path:
    changed = metadata_with(files, lambda data: data["cnnseg"]["labels"][0].update(name="Left \u202ethgir"))
    return with_changes(folder, files, changed)


@artefact(r"its description has over 200000 characters")
def endless_description(folder: Path, files: Files) -> Path:
    text = "very " * 50_000
    return with_changes(folder, files, metadata_with(files, lambda data: data.update(description=text)))


@artefact(r"its description has HTML \('<img src=")
def html_in_description(folder: Path, files: Files) -> Path:
    text = f'A model. <img src="file://{folder / SECRET}">'
    return with_changes(folder, files, metadata_with(files, lambda data: data.update(description=text)))


@artefact(r"its metrics has HTML")
def html_in_metrics(folder: Path, files: Files) -> Path:
    metrics = {"dice": [{"<b onclick=alert(1)>": 1}]}
    return with_changes(folder, files, metadata_with(files, lambda data: data.update(eval_metrics=metrics)))


@artefact(r"its metrics has HTML|is no valid JSON", "ModelError")
def nested_metrics(folder: Path, files: Files) -> Path:
    text = files["configs/metadata.json"].decode().strip()[:-1]
    metrics = '{"a":' * 800 + '"<b>"' + "}" * 800
    return with_changes(folder, files, {"configs/metadata.json": f'{text}, "eval_metrics": {metrics}}}'.encode()})


@artefact(r"its model card has HTML \('<script'\)")
def script_in_card(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"README.md": b"# Card\n<script>fetch('http://127.0.0.1')</script>"})


@artefact(r"its id '../../evil' is no plain name")
def id_that_climbs(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, metadata_with(files, lambda data: data["cnnseg"].update(id="../../evil")))


@artefact(r"metadata.json is no valid JSON", "ModelError")
def nested_metadata(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"configs/metadata.json": b"[" * 200_000})


@artefact(r"is no valid JSON", "ModelError")
def huge_number(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"configs/inference.json": b'{"a": ' + b"9" * 1_000_000 + b"}"})


@artefact(r"is a configuration of \d+ bytes, over")
def huge_configuration(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"configs/inference.json": b'{"a": "' + bytes(range(65, 91)) * 400_000 + b'"}'})
