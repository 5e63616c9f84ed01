from acclimate_tools.bench.replay import ROOT

RESULTS = ROOT / "docs" / "results" / "bench.json"
PLACE = ROOT / "docs" / "benchmarks.md"


def markdown(r):
    return ""
