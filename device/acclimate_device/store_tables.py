"""The tables of a state: columns by name, and the primary key of each; see ``store``."""

FORMAT = 3
FILE = "acclimate.db"

TABLES: dict[str, tuple[dict[str, type], str | tuple[str, ...]]] = {
    "meta": ({"name": str, "value": str}, "name"),
    "tensor": ({"digest": str, "data": bytes}, "digest"),
    "checkpoint": ({"generation": int, "body": bytes}, "generation"),
    "part": ({"generation": int, "digest": str}, ("generation", "digest")),
    "lineage": ({"place": int, "line": bytes}, "place"),
}
