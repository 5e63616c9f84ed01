"""The page about the HTTP API of the hub, read from its OpenAPI description."""

from collections.abc import Mapping
from typing import Any

from acclimate_tools.docs.markdown import cell, table

Schema = Mapping[str, Any]
_HEAD = """\
# HTTP API of the hub

This page is read from the code when the site is built; the hub itself serves the description at
`/api/v1/openapi.json`. Every request carries a token, `Authorization: Bearer ...`, made with
`acclimate-hub token create`. The commands of `acclimate-hub` are a client of it.
An error is a [Problem](#problem) (`application/problem+json`, RFC 9457) with one of these statuses:
"""


def page(description: Schema, problem: Schema, statuses: Mapping[int | str, Schema]) -> str:
    """Return the page of an API.

    Args:
        description: OpenAPI 3.1.
        problem: JSON schema of an error.
        statuses: that any request may be answered with, each with what is said of it.
    """
    parts = [_HEAD, ", ".join(f"{status} ({told['description']})" for status, told in statuses.items()) + ".\n"]
    for path, methods in sorted(description["paths"].items()):
        parts += [_operation(f"{method.upper()} {path}", found) for method, found in sorted(methods.items())]
    schemas = {**description["components"]["schemas"], "Problem": problem}
    parts.append("## Schemas\n")
    parts += [_schema(name, found) for name, found in sorted(schemas.items())]
    return "\n".join(parts)


def _operation(name: str, found: Schema) -> str:
    parts = [f"## {name}\n", found.get("description", found.get("summary", "")).strip() + "\n"]
    asked = [
        (f"`{one['name']}`", one["in"], _kind(one["schema"]), "needed" if one.get("required") else "")
        for one in found.get("parameters", [])
        if one["in"] != "header"
    ]
    if asked:
        parts.append(table(("parameter", "in", "takes", ""), asked))
    for media, body in found.get("requestBody", {}).get("content", {}).items():
        parts.append(f"Body: {_kind(body['schema'])} (`{media}`).\n")
    for status, told in found["responses"].items():
        if status < "400":
            parts.append(f"Answer: {status}" + "".join(_content(told)) + ".\n")
    return "\n".join(parts)


def _content(told: Schema) -> str:
    return "".join(
        f", {_kind(body['schema']) if body.get('schema') else 'text'} (`{media}`)"
        for media, body in told.get("content", {}).items()
    )


def _schema(name: str, found: Schema) -> str:
    parts = [f"### {name}\n", found.get("description", "").strip() + "\n"]
    needed = found.get("required", [])
    rows = [
        (f"`{field}`", _kind(kind), "needed" if field in needed else "", cell(kind.get("description", "")))
        for field, kind in found.get("properties", {}).items()
    ]
    if rows:
        parts.append(table(("field", "holds", "", ""), rows))
    elif "enum" in found:
        parts.append(_kind(found) + "\n")
    return "\n".join(parts)


def _kind(found: Schema) -> str:
    """Return a type in words."""
    if "$ref" in found:
        name = found["$ref"].rsplit("/", maxsplit=1)[-1]
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf"):
        if word in found:
            return " or ".join(_kind(one) for one in found[word])
    if "enum" in found or "const" in found:
        return ", ".join(f"`{value}`" for value in found.get("enum", [found.get("const")]))
    if found.get("type") == "array":
        return f"list of {_kind(found['items'])}" if found.get("items") else "list"
    bounds = [f"{word} {found[key]}" for key, word in _BOUNDS.items() if key in found]
    return " ".join([found.get("type", "anything"), *([f"({', '.join(bounds)})"] if bounds else [])])


_BOUNDS = {"minimum": "from", "maximum": "to", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
_BOUNDS |= {"minLength": "characters from", "maxLength": "characters to", "format": "as"}
