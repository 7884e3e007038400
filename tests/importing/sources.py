"""What the tests of the importers have in common."""

from __future__ import annotations

from router.config.loader import loads
from router.config.models import RouterConfig
from router.importing.draft import Draft


def loaded(draft: Draft) -> RouterConfig:
    """The configuration that a draft is, with all of its variables set."""
    return loads(str(draft), environ=dict.fromkeys(draft.variables, "x"))


def said(draft: Draft) -> str:
    """What is to do and to know, a line each; each is in the file, too."""
    text = " ".join(str(draft).replace("#", " ").split())
    for remark in draft.remarks:
        assert " ".join(remark.comment.replace("#", " ").split()) in text, remark
    return "\n".join(map(str, draft.remarks))
