#!/usr/bin/env python3
"""What of others is in the binary, with its licences: the crates that it links and the npm packages of its page."""
import hashlib, json, pathlib, re, subprocess

LICENCES = re.compile(r"^(licen[cs]e|copying|notice|unlicense)", re.I)


def texts(folder):
    files = [file for file in sorted(pathlib.Path(folder).iterdir()) if file.is_file() and LICENCES.match(file.name)]
    return [file.read_text(errors="replace").strip() for file in files]


def crates():
    said = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version=1", "--locked"]))
    tree = ["cargo", "tree", "--locked", "-p", "threadmill-cli", "-e", "normal", "--prefix", "none", "--format", "{p}"]
    linked = {tuple(line.split()[:2]) for line in subprocess.check_output(tree, text=True).splitlines() if line}
    for one in said["packages"]:
        if one["source"] and (one["name"], "v" + one["version"]) in linked:
            yield one["name"], one["version"], one["license"] or "see its text", pathlib.Path(one["manifest_path"]).parent


def modules():
    # npm says with its exit code what it thinks of the tree; what it lists is there.
    said = subprocess.run(
        ["npm", "ls", "--omit=dev", "--all", "--parseable", "-w", "apps/chat"], capture_output=True, text=True
    ).stdout
    for folder in sorted(set(said.split("\n"))):
        manifest = pathlib.Path(folder or "none") / "package.json"
        if "node_modules" in folder and not pathlib.Path(folder).is_symlink() and manifest.exists():
            one = json.loads(manifest.read_text())
            yield one["name"], one["version"], one.get("license", "see its text"), folder


places, shown = {}, []
for kind, found in (("crates", crates()), ("npm packages", modules())):
    print(f"# {kind}\n")
    for name, version, licence, folder in sorted(found, key=lambda one: one[:2]):
        numbers = []
        for text in texts(folder):
            digest = hashlib.blake2b(re.sub(r"\s+", " ", text).encode()).digest()
            if digest not in places:
                shown.append(text)
                places[digest] = len(shown)
            numbers.append(f"[{places[digest]}]")
        print(f"{name} {version}: {licence} {' '.join(numbers)}".rstrip())
    print()
for number, text in enumerate(shown, 1):
    print(f"[{number}]\n\n{text}\n")
