"""Asks verifiers that others wrote: c2pa-python (the family of the library that signs) and encypher-c2pa
(another family). What they say is printed as JSON.

foreign.py ROOT check FILE...        the state of each file, by each
foreign.py ROOT flip FILE FROM TO    each byte outside of FROM..TO changed: where a verifier missed it
"""

import io
import json
import sys

import c2pa
import encypher_c2pa

root = open(sys.argv[1]).read()
context = c2pa.Context.from_dict(
    {
        "trust": {"user_anchors": root},
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
)


def by_c2pa(data):
    try:
        reader = c2pa.Reader("video/mp4", io.BytesIO(data), context=context)
        return json.loads(reader.json())["validation_state"]
    except Exception as error:
        return f"error: {error}"


def by_encypher(data):
    try:
        said = encypher_c2pa.verify(
            bytes(data), mime_type="video/mp4", trust_pem=root, no_default_trust=True
        )
        return said["validation_state"]
    except Exception as error:
        return f"error: {error}"


tools = {"c2pa": by_c2pa, "encypher": by_encypher}


def check(files):
    for file in files:
        data = open(file, "rb").read()
        print(json.dumps({name: tool(data) for name, tool in tools.items()}))


def flip(file, start, end):
    data = bytearray(open(file, "rb").read())
    missed = {name: [] for name in tools}
    tried = 0
    for at in range(len(data)):
        if start <= at < end:
            continue
        bit = 1 << (at % 8)
        data[at] ^= bit
        tried += 1
        for name, tool in tools.items():
            # "Valid" is a good file of an unknown signer: only of the good file it may be said.
            if tool(data) in ("Trusted", "Valid"):
                missed[name].append(at)
        data[at] ^= bit
    print(json.dumps({"tried": tried, "missed": missed}))


if sys.argv[2] == "check":
    check(sys.argv[3:])
else:
    flip(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
