"""A bundle: what is released to a fleet, as one file that is the same bytes for the same content.

It holds a learner package, the plan of the contest that the package enters, a sanity set, and what a device must have.
The layout is that of `acclimate_shared.container`. Its name is the SHA-256 of the whole file, which is what is signed:
``read_bundle`` checks it before it looks at a single field.
"""

import base64
import hashlib
import io
import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np

from acclimate_shared.constraints import CONSTRAINTS, Constraints, write_constraints
from acclimate_shared.container import Container, ContainerError, Kind, OversizeError, pack
from acclimate_shared.errors import DigestError, MissingFileError, PlanError
from acclimate_shared.evidence import Plan
from acclimate_shared.learner import LearnerPackage, package_files, package_of
from acclimate_shared.manifest import RESERVED_NAMES
from acclimate_shared.release import MAX_BUNDLE_BYTES, Listed, Release, check, chunk_hashes
from acclimate_shared.sanity import Sanity, SanityRule

MAX_DOCUMENT_BYTES = 1 << 20  # of the plan, the rule and the constraints
PLAN, RULE, SANITY = "plan.json", "rule.json", "sanity.safetensors"
_PACKAGE = "package/"
_FILES = r"manifest\.json|predict\.onnx|update\.onnx|state\.safetensors|sanity\.safetensors"
KIND = Kind(
    magic=b"ACCLBND1",
    name=re.compile(rf"plan\.json|rule\.json|sanity\.safetensors|constraints\.json|{_PACKAGE}(?:{_FILES})"),
    max_parts=9,
    max_part_bytes=MAX_BUNDLE_BYTES,
)
_REMEDY = "fetch or build the bundle again"
_T = TypeVar("_T", SanityRule, Constraints)


class BundleError(ContainerError):
    """The parts of a bundle do not belong together, or one is not in its one form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A learner package and what a fleet needs to take it."""

    package: LearnerPackage
    plan: Plan
    sanity: Sanity
    constraints: Constraints

    @property
    def architecture(self) -> str:
        """SHA-256 over all but the data in the state: with another one, local learning cannot be carried over."""
        manifest = self.package.manifest
        graphs = [hashlib.sha256(graph).hexdigest() for graph in (self.package.predict, self.package.update)]
        what = [manifest.task, manifest.opset, manifest.x, manifest.state, graphs, self.constraints.features]
        return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()


def write_bundle(bundle: Bundle) -> bytes:
    """Return the file of a bundle.

    Raises:
        PackageError: If the reader would refuse it; the subclass says why.
        ConstraintError: If the constraints make no sense.
    """
    parts = {_PACKAGE + name: data for name, data in package_files(bundle.package).items()}
    parts[PLAN] = bundle.plan.canonical()
    parts[RULE] = msgspec.json.encode(bundle.sanity.rule, order="sorted")
    parts[SANITY] = bundle.sanity.tensors()
    parts[CONSTRAINTS] = write_constraints(bundle.constraints)
    data = pack(KIND, {}, dict(sorted(parts.items())))
    read_bundle(data, digest=digest_of(data))
    return data


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def read_bundle(data: bytes, *, digest: str) -> Bundle:
    """Verify a bundle, then parse it.

    Args:
        data: The whole file.
        digest: What signed metadata says it has, 64 hex digits.

    Returns:
        The bundle; writing it again gives the same bytes.

    Raises:
        DigestError: If the file is another one.
        PackageError: If anything else is wrong with it; the subclass says what.
        ConstraintError: If the constraints make no sense.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise OversizeError("the bundle is too large", field="bytes", value=len(data), remedy="make it smaller")
    if digest_of(data) != digest:
        raise DigestError("the bundle is not the one that was signed", field="digest", value=digest, remedy=_REMEDY)
    container = Container(io.BytesIO(data), KIND)
    names = list(container.sizes)
    if container.meta or names != sorted(names):
        raise BundleError("the index of the bundle is not in its one form", field="index", remedy=_REMEDY)
    missing = {PLAN, RULE, SANITY, CONSTRAINTS} - set(names)
    if missing:
        raise MissingFileError("a part of the bundle is missing", field=min(missing), remedy=_REMEDY)
    parts = {name: container.read(name) for name in names}
    files = {n.removeprefix(_PACKAGE): part for n, part in parts.items() if n.startswith(_PACKAGE)}
    package = package_of(files)
    if set(files) - {"manifest.json"} != set(package.manifest.files):
        raise BundleError("a file that the manifest does not name", field="package", value=names, remedy=_REMEDY)
    if package_files(package) != files:
        raise BundleError("a file is not in its one form", field="package", remedy=_REMEDY)
    constraints = _document(parts[CONSTRAINTS], CONSTRAINTS, Constraints)
    constraints.check()
    rule = _document(parts[RULE], RULE, SanityRule)
    sanity = Sanity.from_tensors(parts[SANITY], rule)
    if sanity.tensors() != parts[SANITY]:
        raise BundleError("the sanity set is not in its one form", field=SANITY, remedy=_REMEDY)
    bundle = Bundle(package=package, plan=_plan(parts[PLAN]), sanity=sanity, constraints=constraints)
    _check_together(bundle)
    return bundle


def describe(data: bytes, version: str) -> Listed:
    """Return what an author signs about a bundle.

    Raises:
        PackageError: If it is not a bundle.
        ConstraintError: If its constraints make no sense.
        TrustError: If the version is not one.
    """
    digest = digest_of(data)
    bundle = read_bundle(data, digest=digest)
    release = Release(
        model=bundle.package.manifest.name,
        version=version,
        package=bundle.package.digest,
        architecture=bundle.architecture,
        plan=bundle.plan.digest,
        chunks=base64.b64encode(chunk_hashes(data)).decode(),
        constraints=bundle.constraints,
    )
    listed = Listed(digest=digest, length=len(data), release=release)
    check(listed)
    return listed


def _document(data: bytes, name: str, kind: type[_T]) -> _T:
    if len(data) > MAX_DOCUMENT_BYTES:
        raise OversizeError("a part is too large", field=name, value=len(data), remedy=_REMEDY)
    try:
        found = msgspec.json.decode(data, type=kind)
        canonical = msgspec.json.encode(found, order="sorted")
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as exc:
        raise BundleError(f"{name} cannot be read: {exc}", field=name, remedy=_REMEDY) from exc
    if canonical != data:
        raise BundleError(f"{name} is not in its one form", field=name, remedy=_REMEDY)
    return found


def _plan(data: bytes) -> Plan:
    try:
        plan = Plan.from_json(data)
    except (PlanError, ValueError, RecursionError) as exc:
        raise BundleError(f"the plan cannot be used: {exc}", field=PLAN, remedy=_REMEDY) from exc
    if plan.canonical() != data:
        raise BundleError("the plan is not in its one form", field=PLAN, remedy=_REMEDY)
    return plan


def _check_together(bundle: Bundle) -> None:
    """Check that sanity set and constraints fit the package."""
    manifest, sanity = bundle.package.manifest, bundle.sanity
    shape = manifest.x.resolve(sanity.rule.dims | {"rows": len(sanity.x)})
    if sanity.x.shape != shape:
        raise BundleError("the sanity set is not for this learner", field="x", value=sanity.x.shape, remedy=_REMEDY)
    dims = {dim for spec in (manifest.x, *manifest.state) for dim in spec.shape if isinstance(dim, str)}
    if not sanity.rule.dims.keys() <= dims - RESERVED_NAMES - {"rows"}:
        raise BundleError("the learner has no such dim", field=RULE, value=sanity.rule.dims, remedy=_REMEDY)
    classes = manifest.task == "classification"
    label_ok = sanity.label is None or sanity.label.dtype == (np.int64 if classes else np.float64)
    if not label_ok or (sanity.rule.max_error if classes else sanity.rule.min_right) is not None:
        raise BundleError("labels or rule are not of this task", field=RULE, value=manifest.task, remedy=_REMEDY)
