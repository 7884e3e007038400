"""The reference page of the admin interface."""

from __future__ import annotations

from pathlib import Path

from router.admin.commands import COMMANDS
from router.admin.reference import reference_page
from router.admin.tables import OWN, PROXYSQL

ROOT = Path(__file__).parents[2]


def test_it_names_everything() -> None:
    page = reference_page()
    for table in (*OWN, *PROXYSQL):
        assert f"\n### {table.name}" in page
        assert all(f"\n| `{column.name}` | " in page for column in table.columns)
    escaped = [each.usage.replace("|", "\\|") for each in COMMANDS]
    assert all(f"\n| `{usage}` | " in page for usage in escaped)


def test_the_file_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs/reference/admin.md").read_text() == reference_page()
