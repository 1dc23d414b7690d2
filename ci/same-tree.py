"""same-tree.py MOUNT FILES: whether a mounted root is what files.txt says: every path, and of each its kind, mode,
owner, time, bytes, target, numbers, extended attributes and hard links."""
import hashlib
import os
import re
import stat
import sys

mount, listing = sys.argv[1:]
expected, linked = {}, {}
for line in open(listing, encoding="utf-8"):
    text = line.rstrip("\n").rpartition(" (")[0]
    if (tail := re.search(r"^(?P<rest>.*) = (?P<first>/.*)$", text)):
        text = tail["rest"]
        linked[text] = tail["first"]
    expected[text] = expected.get(text, 0) + 1

found, first, wrong = {}, {}, []
for folder, names, files in os.walk(mount, topdown=True):
    names.sort()
    for name in [""] * (folder == mount) + sorted(names + files):
        real = os.path.join(folder, name) if name else folder
        path = "/" + os.path.relpath(real, mount) if name else "/"
        about = os.lstat(real)
        mode = about.st_mode
        if stat.S_ISDIR(mode):
            letter, rest = "d", ""
        elif stat.S_ISREG(mode):
            with open(real, "rb") as file:
                letter, rest = "-", f" {about.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        elif stat.S_ISLNK(mode):
            letter, rest = "l", f" -> {os.readlink(real)}"
        elif stat.S_ISFIFO(mode):
            letter, rest = "p", ""
        else:
            letter = "c" if stat.S_ISCHR(mode) else "b"
            rest = f" {os.major(about.st_rdev)}:{os.minor(about.st_rdev)}"
        for attribute in sorted(os.listxattr(real, follow_symlinks=False)):
            rest += f" {attribute}={os.getxattr(real, attribute, follow_symlinks=False).hex()}"
        line = f"{path} {letter} {stat.S_IMODE(mode):04o} {about.st_uid} {about.st_gid} {int(about.st_mtime)}{rest}"
        found[line] = found.get(line, 0) + 1
        if not stat.S_ISDIR(mode):
            before = first.setdefault(about.st_ino, path)
            if linked.get(line, path) != before:
                wrong.append(f"{path}: linked with {before}, files.txt says {linked.get(line)}")

wrong += [f"only in files.txt: {line}" for line in expected.keys() - found.keys()]
wrong += [f"only in the mount: {line}" for line in found.keys() - expected.keys()]
for line in sorted(wrong)[:20]:
    print(line)
if wrong or not found:
    sys.exit(f"{len(wrong)} differences in {len(found)} paths")
print(f"kernel mount: all {len(found)} paths are as files.txt says")
