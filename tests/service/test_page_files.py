"""The page's files by themselves: its colors, its weight, its manners. No browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mien.palette import PALETTE, Color, contrast, ink_on
from mien.recognition.drawing import UNSURE_BELOW
from mien.service.app import PAGE

FILES = sorted(path for path in PAGE.iterdir() if path.is_file())
MODULES = [path for path in FILES if path.suffix == ".js"]
TOKENS = dict(re.findall(r"--([\w-]+): ([^;]+);", (PAGE / "tokens.css").read_text()))
SCHEMES = ("light", "dark")

SPOKEN = {"alt", "title", "aria-label", "content", "placeholder"}
"""Attributes that are shown or read aloud."""

WEIGHT = 165_000
"""Bytes of the whole page, uncompressed; about a tenth of what one photo has."""


def color(name: str, scheme: str) -> Color:
    """A color of tokens.css in one scheme."""
    values = re.findall(r"#([0-9a-f]{6})\b", TOKENS[name])
    value = values[SCHEMES.index(scheme) if len(values) == 2 else 0]
    return (int(value[:2], 16), int(value[2:4], 16), int(value[4:], 16))


@pytest.mark.parametrize("label", PALETTE)
def test_expressions_have_the_colors_of_the_palette(label: str) -> None:
    assert color(label, "light") == PALETTE[label]
    assert color(f"on-{label}", "light") == ink_on(PALETTE[label])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [
        ("ink", "paper", 4.5), ("ink", "surface", 4.5), ("ink", "accent-wash", 4.5), ("ink", "danger-wash", 4.5),
        ("muted", "paper", 4.5), ("muted", "surface", 4.5), ("muted", "sunken", 4.5), ("muted", "accent-wash", 4.5),
        ("accent", "paper", 4.5), ("accent", "surface", 4.5), ("accent", "accent-wash", 4.5),
        ("on-accent", "accent", 4.5), ("danger", "surface", 4.5),
        ("edge", "paper", 3), ("edge", "surface", 3), ("accent", "sunken", 3), ("danger", "danger-wash", 3),
    ],
)  # fmt: skip
def test_contrast_is_enough_to_read(ink: str, ground: str, least: float, scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for the edges of what one can press and for the focus."""
    assert contrast(color(ink, scheme), color(ground, scheme)) >= least


def test_the_page_is_light() -> None:
    assert sum(path.stat().st_size for path in FILES) <= WEIGHT


def test_a_score_counts_as_a_guess_below_the_same_bound_as_in_annotated_copies() -> None:
    (bound,) = re.findall(r"UNSURE_BELOW = ([\d.]+);", (PAGE / "doubt.js").read_text())
    assert float(bound) == UNSURE_BELOW


WORDS = re.compile(
    r"pictures?|films?|colours?|recognis\w*|licences?|taxonom\w*|grey|finder|look(?:ed|ing|s)? at",
    re.IGNORECASE,
)
"""What the glossary has other words for."""


def test_what_the_page_says_keeps_to_the_glossary() -> None:
    elements = Elements()
    said = [
        *elements.texts,
        *(v for _, attributes in elements.all for k, v in attributes.items() if k in SPOKEN),
    ]
    for path in MODULES:
        strings = re.findall(r'"([^"\n]*)"|`([^`]*)`', without_comments(path))
        said += [re.sub(r"\$\{[^}]*\}", "", one or other) for one, other in strings if " " in one + other]
    assert len(said) > 80
    assert [text for text in said if text and WORDS.search(text)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_says_what_it_is_for_and_is_short(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("/**")
    assert len(text.splitlines()) <= 200
    assert max(map(len, text.splitlines())) <= 121
    for imported in re.findall(r'from "\./([\w.]+)"', text):
        assert (PAGE / imported).is_file()


def test_every_module_is_used() -> None:
    told = "".join(path.read_text() for path in FILES if path.suffix in {".js", ".html"})
    for path in MODULES:
        assert f"/{path.name}" in told


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix != ".webp"], ids=lambda path: path.name
)
def test_nothing_points_to_another_site_or_to_its_top(path: Path) -> None:
    assert not re.search(r"[\"'`(]/(?!/)[a-z]", without_comments(path)), "the page may stand under a path"
    names = set(re.findall(r"https?://[\w.-]+", path.read_text()))
    assert names <= {"http://www.w3.org", "http://localhost"}  # a namespace, and what an error tells to open


def without_comments(path: Path) -> str:
    """What a file says to the browser."""
    return re.sub(r"/\*.*?\*/|^\s*//.*?$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


class Elements(HTMLParser):
    """All elements of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed((PAGE / "index.html").read_text())

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))


def test_the_document_keeps_the_strict_policy_and_names_its_parts() -> None:
    elements = Elements().all
    for tag, attributes in elements:
        assert tag != "style"
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        if tag == "script":
            assert (attributes["src"] or "").startswith("page/")
        if tag == "img":
            assert "alt" in attributes
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert not target.startswith("/")  # the page may stand under a path
            if target.startswith("page/"):
                assert (PAGE / target.removeprefix("page/")).is_file()
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = {
        attributes[key] for _, attributes in elements for key in ("aria-labelledby",) if key in attributes
    }
    assert named <= set(ids)
    assert ("html", {"lang": "en"}) in elements
