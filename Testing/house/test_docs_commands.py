"""Every command in the documentation is understood by the real programs, and every link leads somewhere."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from SlicerCNNSegLib.cli.main import parse as parse_cnnseg
from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegTrainLib.cli.main import build_parser as build_train_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("SlicerCNNSeg*/**/*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
PROMPT = re.compile(r"^(?:\$ )?(?=cnnseg |cnnseg-train |python3? dev\.py)")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def commands(text: str) -> list[list[str]]:
    """The command lines of our programs in the code blocks of a page, split into words."""
    lines: list[str] = []
    for block in re.findall(r"```[^\n]*\n(.*?)```", text, re.DOTALL):
        lines += [PROMPT.sub("", line) for line in block.replace("\\\n", " ").splitlines() if PROMPT.match(line)]
    return [shlex.split(line, comments=True) for line in lines]


def check(words: list[str]) -> None:
    """Parse one command as its program would.

    Raises
    ------
    ValueError
        The program refuses it.
    """
    program, arguments = (words[1], words[2:]) if words[0].startswith("python") else (words[0], words[1:])
    try:
        if program == "dev.py":
            known = runpy.run_path(str(ROOT / "dev.py"))["EXTRAS"]
            if not arguments or arguments[0] not in known:
                raise ValueError(f"dev.py knows {', '.join(known)}")
        elif program == "cnnseg-train":
            build_train_parser().parse_args(arguments)
        else:
            parse_cnnseg(arguments)
    except SettingsError as error:
        raise ValueError(str(error)) from error
    except SystemExit as left:
        if left.code:  # --help and --version leave with 0
            raise ValueError(f"{program} leaves with {left.code}") from left


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_understood(page):
    for words in commands(page.read_text(encoding="utf-8")):
        check(words)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    gone = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert not gone


def test_pages_that_the_code_names_exist():
    sources = [path for folder in ("SlicerCNNSeg", "SlicerCNNSegTrain") for path in (ROOT / folder).rglob("*.py")]
    pages = {page for path in sources for page in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))}
    assert pages
    assert not [page for page in sorted(pages) if not (ROOT / page).is_file()]


def test_readme_shows_the_commands():
    programs = {words[0] for words in commands((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert programs >= {"python3", "cnnseg", "cnnseg-train"}


@pytest.mark.parametrize(
    "line",
    [
        "cnnseg segmant a.nii.gz -o out",
        "cnnseg segment a.nii.gz -o out --rio 1,2",
        "python3 dev.py tset",
        "cnnseg-train run",
    ],
)
def test_a_wrong_command_is_found(line):
    ((*words,),) = commands(f"```bash\n$ {line}  # comment\n```")
    with pytest.raises(ValueError, match=r"dev.py knows|leaves with 2|see 'cnnseg"):
        check(words)


def test_continued_lines_are_one_command():
    (words,) = commands("```\ncnnseg segment a.nii.gz \\\n  -o out\n```")
    assert words == ["cnnseg", "segment", "a.nii.gz", "-o", "out"]
