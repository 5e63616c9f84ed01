"""The page about errors, read from ``acclimate_shared.errors``."""

from textwrap import dedent

from acclimate_shared import errors
from acclimate_tools.docs.markdown import cell, code, table


def page() -> str:
    """Return the page."""
    tree, _, rest = (errors.__doc__ or "").split("\n\n")[1].partition("\n``")
    kinds = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)]
    rows = [(f"`{kind.__name__}`", f"`{kind.__bases__[0].__name__}`", cell(kind.__doc__ or "")) for kind in kinds]
    return "\n".join([_HEAD, code(dedent(tree)), cell("``" + rest) + "\n", table(("error", "is a", ""), rows)])


_HEAD = """\
# Errors

This page is read from the code when the site is built.

Everything that Acclimate refuses or cannot do is an `AcclimateError` with a `message`, the `field` and the shortened
`value` that are at fault, and a `remedy`. Its place in the tree says what a caller can do: try again later after a
`LinkError`, and change something after a `RefusedError`. The commands turn errors into exit codes: `acclimate` and
`acclimate-author` end with 1, and with 2 if the options make no sense; `acclimate-hub` ends with 3, too, if the
database or the broker does not answer.

What the local socket answers is in [the local protocol](../local-protocol.md#errors).
"""
