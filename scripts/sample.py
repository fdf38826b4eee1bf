#!/usr/bin/env python3
"""Makes the sample library and the replay corpus that the binary embeds.

Takes two packages by name from PyPI (chitchat-dataset, MIT; chatterbot-corpus, BSD) and writes
target/sample/threads.jsonl and target/sample/replay.jsonl. Nothing of them is committed. Without a network the
files are not written and the binary falls back to a few lines of its own.
"""

import glob
import json
import subprocess
import sys
import uuid
import zipfile
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "sample"
WHEELS = ROOT / "target" / "sample-wheels"
PACKAGES = ["chitchat-dataset==0.9.0", "chatterbot-corpus==1.3.3", "PyYAML"]
THREADS = 120
LONG = 10_000
# A sample of one's own is the same in every build.
NAMESPACE = uuid.UUID("5f0c2f0e-6a0a-5b6e-9d53-7c7b1c6d9a10")
# Answers with code stand this far apart in the long thread.
CODE_EVERY = 40


def download():
    WHEELS.mkdir(parents=True, exist_ok=True)
    have = [p.name.lower() for p in WHEELS.glob("*.whl")]
    wanted = ["chitchat_dataset", "chatterbot_corpus", "pyyaml"]
    if all(any(name.startswith(want) for name in have) for want in wanted):
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--dest", str(WHEELS), *PACKAGES]
    subprocess.run(command, check=True)


def wheel(prefix):
    return zipfile.ZipFile(next(p for p in sorted(glob.glob(f"{WHEELS}/*.whl")) if Path(p).name.lower().startswith(prefix)))


def load_yaml():
    # PyYAML is used from its wheel, so that nothing is installed.
    target = WHEELS / "pyyaml"
    wheel("pyyaml").extractall(target)
    sys.path.insert(0, str(target))
    import yaml
    return yaml


def corpus():
    """Question and answer pairs, in the corpus's order, language after language."""
    yaml = load_yaml()
    archive = wheel("chatterbot_corpus")
    pairs = []
    for name in sorted(n for n in archive.namelist() if n.endswith(".yml")):
        data = yaml.load(archive.read(name), Loader=yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)
        for conversation in data.get("conversations", []):
            lines = [str(line).strip() for line in conversation if line is not None]
            if len(lines) >= 2 and lines[0]:
                pairs += [(name, lines[0], answer) for answer in lines[1:2] if answer]
    return pairs


def milliseconds(text):
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp() * 1000)


def iso(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def turns(conversation):
    """A conversation as (speaker is the first one, text, time), one turn for what one said in a row."""
    first = None
    for group in conversation["messages"]:
        texts = [m["text"].strip() for m in group if m["text"].strip()]
        if not texts:
            continue
        first = first or group[0]["sender"]
        yield group[0]["sender"] == first, "\n\n".join(texts), milliseconds(group[0]["timestamp"])


def thread(name, title, rows):
    """The lines of one thread. A time never goes back within it."""
    identity = str(uuid.uuid5(NAMESPACE, name))
    begun, ended = rows[0][2], max(row[2] for row in rows)
    yield {"thread": {"id": identity, "title": title, "metadata": {"source": name}, "archived": False,
                      "defaultBranch": "main", "branches": 1, "messages": len(rows),
                      "createdAt": iso(begun), "updatedAt": iso(ended)}}
    yield {"branch": {"id": "main", "parent": None, "forkDepth": 0}}
    latest = begun
    for depth, (asks, text, at) in enumerate(rows):
        latest = max(latest, at)
        yield {"message": {"id": f"{identity[:8]}-{depth}", "role": "user" if asks else "assistant",
                           "parts": [{"type": "text", "text": text}], "metadata": None, "status": "complete",
                           "branch": "main", "depth": depth, "rev": 1, "createdAt": iso(latest)}}
    yield {"end": {"messages": len(rows), "branches": 1}}


def title(rows):
    # Greetings say little: the first thing said in four words or more names the thread.
    text = " ".join(next((row[1] for row in rows if len(row[1].split()) >= 4), rows[0][1]).split())
    return text if len(text) <= 60 else text[:59] + "…"


def long_thread(conversations, pairs):
    """Ten thousand messages: conversations one after the other, with questions about code between them."""
    code = [pair for pair in pairs if "```" in pair[2]]
    rows = []
    for _, conversation in conversations:
        for row in turns(conversation):
            rows.append(row)
            if code and len(rows) % CODE_EVERY == CODE_EVERY - 2:
                _, question, answer = code[(len(rows) // CODE_EVERY) % len(code)]
                rows += [(True, question, row[2]), (False, answer, row[2])]
            if len(rows) >= LONG:
                return rows[:LONG]
    return rows


def write(path, lines):
    with path.open("w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    if (OUT / "threads.jsonl").exists() and (OUT / "replay.jsonl").exists():
        return
    try:
        download()
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"sample: the packages cannot be had ({error}); the binary gets its small built-in sample", file=sys.stderr)
        return
    pairs = corpus()
    archive = wheel("chitchat_dataset")
    name = next(n for n in archive.namelist() if n.endswith("dataset.json"))
    data = json.loads(archive.read(name))
    conversations = sorted(data.items())
    OUT.mkdir(parents=True, exist_ok=True)
    lines = []
    picked = [(key, list(turns(value))) for key, value in conversations[::len(conversations) // (THREADS * 2)]]
    picked = [(key, rows) for key, rows in picked if len(rows) >= 6][:THREADS]
    picked.sort(key=lambda item: item[1][-1][2])
    for key, rows in picked:
        lines += thread(f"chitchat-dataset/{key}", title(rows), rows)
    rows = long_thread(conversations, pairs)
    lines += thread("chitchat-dataset/long", "Ten thousand messages", rows)
    write(OUT / "threads.jsonl.part", lines)
    write(OUT / "replay.jsonl.part", ({"q": question, "a": answer} for _, question, answer in pairs))
    (OUT / "replay.jsonl.part").replace(OUT / "replay.jsonl")
    (OUT / "threads.jsonl.part").replace(OUT / "threads.jsonl")
    print(f"sample: {len(picked) + 1} threads, {sum(len(r) for _, r in picked) + len(rows)} messages, {len(pairs)} answers")


if __name__ == "__main__":
    main()
