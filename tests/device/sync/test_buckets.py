from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.sync.buckets import merged
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind
from acclimate_shared.messages.up import CandidateScore, Drift, FeatureCounts, Metrics, Resources
from tests.device.sync.wires import message

SCHEMA = "a" * 64
COUNT = st.integers(0, 10**6)


@st.composite
def buckets(draw: st.DrawFn) -> list[Metrics]:
    times = sorted(draw(st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True)))
    found = []
    for start, end in pairwise(times):
        scores = [
            CandidateScore(
                candidate=name,
                role="champion",
                measure="accuracy",
                labels=draw(st.integers(8, 1000)),
                mean=draw(st.floats(0, 1)),
            )
            for name in draw(st.sets(st.sampled_from(["rls", "knn", "mlp"])))
        ]
        drift = [Drift(detector="adwin", signal="loss", looks=draw(COUNT), alarms=draw(COUNT))]
        counts = draw(st.lists(st.integers(16, 99), min_size=2, max_size=3))
        resources = Resources(predictions=draw(COUNT), memory_bytes=draw(COUNT), cpu_s=draw(st.floats(0, 1e3)))
        one = Metrics(
            start_s=start,
            end_s=end,
            schema=SCHEMA,
            scores=tuple(scores),
            drift=tuple(drift),
            features=(FeatureCounts(feature=1, counts=tuple(counts)),),
            bins=f"{len(counts)}" * 64,
            resources=resources,
        )
        found.append(one)
    return found


@given(buckets())
def test_what_was_counted_is_all_there_and_the_result_is_a_message(parts: list[Metrics]) -> None:
    whole = merged(parts)
    assert decode(message(Kind.UP, whole), Kind.UP).body == whole
    assert (whole.start_s, whole.end_s) == (parts[0].start_s, parts[-1].end_s)
    assert whole.resources.predictions == sum(part.resources.predictions for part in parts)
    assert whole.resources.memory_bytes == max(part.resources.memory_bytes for part in parts)
    assert whole.drift[0].looks == sum(part.drift[0].looks for part in parts)
    for score in whole.scores:
        own = [one for part in parts for one in part.scores if one.candidate == score.candidate]
        assert score.labels == sum(one.labels for one in own)
        right = sum(one.labels * one.mean for one in own)
        assert abs(score.mean * score.labels - right) <= 1e-6 * max(right, 1)
    bins = len(whole.features[0].counts)
    same = [part.features[0].counts for part in parts if len(part.features[0].counts) == bins]
    assert whole.features[0].counts == tuple(map(sum, zip(*same, strict=True)))


@given(buckets(), st.integers(1, 4))
def test_merging_in_two_steps_counts_the_same(parts: list[Metrics], at: int) -> None:
    left, right = parts[:at], parts[at:]
    twice = merged([merged(side) for side in (left, right) if side])
    once = merged(parts)
    assert twice.resources.predictions == once.resources.predictions
    assert {s.candidate: s.labels for s in twice.scores} == {s.candidate: s.labels for s in once.scores}


def test_counts_over_other_bins_do_not_mix() -> None:
    def one(*counts: int) -> Metrics:
        features = (FeatureCounts(feature=1, counts=counts),) if counts else ()
        bins = f"{len(counts)}" * 64 if counts else None
        return Metrics(start_s=0, end_s=1, schema=SCHEMA, features=features, bins=bins)

    whole = merged([one(20, 20), one(20, 20, 20), one(1, 1, 40), one()])
    assert (whole.features[0].counts, whole.bins) == ((21, 21, 60), "3" * 64)
    assert merged([one(), one()]).bins is None
