"""Markdown in docstrings becomes reStructuredText that Sphinx has no quarrel with."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

core = pytest.importorskip("docutils.core")
PLACE = Path(__file__).parent.parent.parent / "docs" / "_extensions" / "docstrings.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docstrings", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


translate = load().in_restructured_text


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("Plain text.", "Plain text."),
        ("Use `code` here.", "Use ``code`` here."),
        ("Two `Run`s.", "Two ``Run``\\ s."),
        ("Already ``code``.", "Already ``code``."),
        ("Ends with `BIN `.", "Ends with ``BIN``."),
        ("Many `a\nb` lines.", "Many ``a b``\n lines."),
        ("All *args and name_ and a|b.", "All \\*args and name\\_ and a\\|b."),
        ("In `*CAPTURE_?` nothing changes.", "In ``*CAPTURE_?`` nothing changes."),
        ("my_name stays.", "my_name stays."),
        ("First\n* one\n* two", "First\n\n* one\n* two"),
        ("First\n- one\n  more\n- two", "First\n\n- one\n  more\n- two"),
        ("```\ncode\n```", "\n.. code-block:: text\n\n    code\n"),
        (
            "Such as\n\n```python\nif x:\n    y()\n```\nthen",
            "Such as\n\n\n.. code-block:: python\n\n    if x:\n        y()\n\nthen",
        ),
        (
            "So:\n\n    x = `1`\n\nend",
            "So:\n\n\n.. code-block:: python\n\n    x = `1`\n\n\nend",
        ),
        ("Args:\n    x: The *one*.", "Args:\n    x: The \\*one\\*."),
        ("", ""),
    ],
)
def test_translation(markdown: str, expected: str) -> None:
    assert "\n".join(translate(markdown.split("\n"))) == expected


def complaints(text: str) -> list[str]:
    document = core.publish_doctree(
        text,
        settings_overrides={
            "report_level": 4,
            "warning_stream": False,
            "file_insertion_enabled": False,
            "halt_level": 5,
        },
    )
    return [
        node.astext() for node in document.findall() if node.tagname == "problematic"
    ]


PARTS = st.sampled_from(
    [
        "word",
        "`code`",
        "`*x_`",
        "*args",
        "a|b",
        "name_",
        "**bold",
        "\\d",
        "x",
        " ",
        "\n",
    ]
)


@settings(deadline=None)
@given(st.lists(PARTS).map(" ".join))
def test_no_sign_outside_of_code_means_anything(markdown: str) -> None:
    assert complaints("\n".join(translate(markdown.split("\n")))) == []
