"""Names with one meaning, and prose in the plain words of the field."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fuse2task", "fusion", "detection", "segmentation")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]  # docs/results/ was written by earlier versions

# Word -> what to write in its place.
WORDS = {
    r"mend(s|ed|ing)?": "fix",
    r"lest": "so that ... not",
    r"anew": "again",
    r"aloud": "reported",
    r"foretell\w*|foretold": "predict",
    r"told apart": "differs",
    r"(goes|going|gone|went) on": "resume, continue",
    r"known by": "identity",
    r"how these lie": "relative to",
    r"thereof|whilst|hence|hitherto": "a plain word",
}


def test_no_public_class_name_stands_twice():
    places = defaultdict(list)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_prose_uses_the_words_of_the_field():
    found = []
    for path in (*SOURCES, *PAGES):
        name = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for word, better in WORDS.items():
                if re.search(rf"\b({word})\b", line, re.IGNORECASE):
                    found.append(f"{name}:{number}: {line.strip()} (write: {better})")
    assert not found, "\n".join(found)
