"""The page about the Python API: which objects it shows; Sphinx reads what it says of them from their docstrings."""

from acclimate_tools.docs.markdown import code

_AGENT = (
    "predict, feedback, learn_many, predict_one, predict_proba_one, learn_one, status, contest, add_inputs, commit, "
    "close"
)
#: Heading, object, and the members that are shown: all that are public, or these.
SHOWN: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("The agent", (("acclimate_device.agent.Agent", _AGENT), ("acclimate_device.river_words.Prediction", "none"))),
    (
        "What an agent may be given",
        (
            ("acclimate_device.schema.Column", "none"),
            ("acclimate_device.join.Window", "none"),
            ("acclimate_device.rules.Rules", "none"),
            ("acclimate_device.durability.Durability", "none"),
        ),
    ),
    ("In the words of scikit-learn", (("acclimate_device.adapters.SklearnAdapter", "all"),)),
    (
        "Client of the local socket",
        (("acclimate_device.local.client.Client", "all"), ("acclimate_device.local.client.LocalError", "none")),
    ),
)
_HEAD = """\
# Python API

This page is read from the docstrings when the site is built. Errors are on [a page of
their own](errors.md).
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for heading, objects in SHOWN:
        parts.append(f"## {heading}\n")
        parts += [code(_directive(name, members), "{eval-rst}") for name, members in objects]
    return "\n".join(parts)


def _directive(name: str, members: str) -> str:
    lines = [f".. autoclass:: {name}"]
    if members != "none":
        lines += ["   :inherited-members:", "   :members:" + ("" if members == "all" else f" {members}")]
    return "\n".join(lines)
