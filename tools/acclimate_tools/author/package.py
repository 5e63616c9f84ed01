"""From a source to a verified package."""

from msgspec import UNSET

from acclimate_shared.learner import LearnerPackage, make_package
from acclimate_shared.manifest import Manifest
from acclimate_tools.author.source import Source
from acclimate_tools.author.trace import OPSET, trace


def package_of(source: Source) -> LearnerPackage:
    """Trace a source and put its package together; the parity gate is ``acclimate_tools.author.parity``.

    Raises:
        PackageError: the graphs use something that devices refuse.
    """
    predict, update = trace(source)
    manifest = Manifest(
        name=source.name,
        task=source.task,
        opset=OPSET,
        x=source.x,
        state=source.state,
        hyper=source.hyper,
        inner=source.inner,
        max_rows=source.max_rows,
        lanes=True if source.lanes else UNSET,
        weights=source.weights or UNSET,
        holds_rows=any(spec.holds_rows for spec in source.state),
        about=source.about,
    )
    state = {name: tensor.detach().numpy() for name, tensor in source.tensors.items()}
    return make_package(manifest, predict=predict, update=update, state=state)
