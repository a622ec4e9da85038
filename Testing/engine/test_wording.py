"""Texts cut to length, and harmless in a terminal."""

from SlicerCNNSegLib.engine.wording import elided, listed, printable


def test_elided_keeps_beginning_and_end():
    assert elided("abcdefghijklmnop", 16) == "abcdefghijklmnop"
    assert elided("abcdefghijklmnopq", 12) == "abcdef...opq"


def test_listed_tells_how_many_more():
    names = ["one", "two", "three"]
    assert listed(names, 15) == "one, two, three"
    assert listed(names, 14) == "one, two and 1 more"
    assert listed(names, 3) == "one and 2 more"
    assert listed([], 10) == ""


def test_what_a_terminal_would_obey_is_escaped():
    assert printable("Milz (größer)") == "Milz (größer)"
    assert printable("a\x1b[2J\nb\u202e\x9b") == "a\\x1b[2J\nb\\u202e\\x9b"
