"""A walk over a page that finds what the policy of the pages forbids."""

import re
from html.parser import HTMLParser


class Walk(HTMLParser):
    """Everything that a policy would have to allow, and every form without a token."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.forms: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        own = (found.get("src") or "").startswith("/ui/static/")
        if tag == "style" or (tag == "script" and not own):
            self.bad.append(tag)
        self.bad += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        links = [found.get(name) or "" for name in ("href", "src", "action")]
        self.bad += [link for link in links if re.match(r"\s*(javascript|data|https?):|//", link)]
        if tag == "form":
            self.forms.append(found.get("method") == "get")
        if tag == "input" and found.get("name") == "form" and re.fullmatch("[0-9a-f]{64}", found.get("value") or ""):
            self.forms[-1] = True
