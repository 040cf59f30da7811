#!/usr/bin/env python3
"""Packs a folder or one static program as an image archive for `ctr images import`. No engine, no registry.

usage: image.py OUT.tar NAME PATH PROGRAM [ARG...]      PROGRAM: its path in the image
"""
import hashlib
import io
import json
import os
import sys
import tarfile


def archive_layer(path, program):
    """The one layer: everything belongs to root; /tmp can be written by all."""
    def owned_by_root(entry):
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        if os.path.isdir(path):
            tar.add(path, arcname=".", filter=owned_by_root)
        else:
            tar.add(path, arcname="." + program, filter=owned_by_root)
            folder = tarfile.TarInfo("./tmp")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
    return layer.getvalue()


def main():
    out, name, path, *command = sys.argv[1:]
    layer = archive_layer(path, command[0])
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": command, "User": "65532:65532", "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(out, "w") as tar:
        for member, data in ((f"{digest}/layer.tar", layer), (config_name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


main()
