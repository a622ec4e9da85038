"""Texts cut to length, and harmless in a terminal."""

from SlicerCNNSegLib.engine.wording import elided, listed, printable, probability_in_words


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


def test_a_probability_is_never_a_sure_one():
    words = [probability_in_words(p) for p in (0.0, 9.0e-08, 0.0049, 0.0051, 0.5, 0.994, 0.9951, 1.0)]
    assert words == ["< 0.01", "< 0.01", "< 0.01", "0.01", "0.50", "0.99", "> 0.99", "> 0.99"]
