"""Author the standard learners and write them where the device package ships them.

Example:
    python -m acclimate_tools.learners.build device/acclimate_device/learners
"""

import sys
from pathlib import Path

from acclimate_shared.learner import LearnerPackage, save_package
from acclimate_tools.author.package import package_of
from acclimate_tools.learners.catalogue import SOURCES


def folder_name(package: LearnerPackage) -> str:
    """Return ``name-task``, the folder of a standard learner."""
    return f"{package.manifest.name}-{package.manifest.task}"


def main(target: str) -> None:
    """Write every standard learner below the folder ``target``."""
    for source in SOURCES:
        package = package_of(source)
        save_package(package, Path(target) / folder_name(package))
        sys.stdout.write(
            f"{folder_name(package)} {package.digest[:12]} {len(package.predict) + len(package.update)} bytes\n"
        )


if __name__ == "__main__":
    main(sys.argv[1])
