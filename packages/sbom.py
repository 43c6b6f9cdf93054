"""Writes a bill of materials (CycloneDX, JSON) of a release: what it is made with, with the versions of this machine.

The same commit on the same machine gives the same bytes: the time is the commit's, the serial number follows from it.

    sbom.py VERSION COMMIT SECONDS FILE
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import datetime, timezone

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

# What is linked or compiled in, by Debian's name. The library alone: the first two.
PACKAGES = (
    "libhwy-dev", "libgomp1", "libopenblas-pthread-dev", "libfmt-dev", "libcli11-dev", "nlohmann-json3-dev",
    "libzip-dev", "zlib1g-dev", "libopenmpi-dev", "libdnnl-dev",
)  # fmt: skip


def version_of(package: str) -> str:
    """As dpkg has it installed."""
    asked = ["dpkg-query", "-W", "-f=${Version}", package]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def main(version: str, commit: str, seconds: str, file: str) -> None:
    """Writes the file, after it was validated."""
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"unitvar {version} {commit}"))
    bom.metadata.timestamp = datetime.fromtimestamp(int(seconds), tz=timezone.utc)
    product = Component(type=ComponentType.LIBRARY, name="unitvar", version=f"{version}+{commit}", bom_ref="unitvar")
    bom.metadata.component = product
    used = []
    for name in PACKAGES:
        installed = version_of(name)
        url = PackageURL("deb", "debian", name, installed)
        used.append(Component(type=ComponentType.LIBRARY, name=name, version=installed, purl=url, bom_ref=name))
        bom.components.add(used[-1])
    bom.register_dependency(product, used)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"sbom: {problem}")
    with open(file, "w", encoding="utf-8") as out:
        out.write(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
