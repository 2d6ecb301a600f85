"""An S3 server for tests: moto, with what it leaves out.

Moto holds signatures against what was signed once it is told to; it takes bodies and checksums as they are
said, and keeps no lock of what comes in parts. Here a body has to be what its signed digest and its checksum
say, as at Amazon.

Prints its port. Then it does what it is told in lines, and answers each with one: `locked KEY` (mode and until
when, or nothing), `damage KEY` (another byte in it, without a word to anybody), `lose KEY`, `has KEY`. Ends when
its input does: it does not outlive the test that has started it.
"""

import argparse
import base64
import hashlib
import io
import sys
import threading
from http import HTTPStatus

from moto import settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
MOST = 64 << 20


class Quiet(WSGIRequestHandler):
    def log_request(self, *_args):
        pass


class Checked:
    """Refuses a body that is not what its head says."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] != "PUT":
            return self.app(environ, start_response)
        body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), MOST))
        environ["wsgi.input"] = io.BytesIO(body)
        digest = hashlib.sha256(body)
        signed = environ.get("HTTP_X_AMZ_CONTENT_SHA256")
        checksum = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
        right = base64.b64encode(digest.digest()).decode()
        if signed != digest.hexdigest() or checksum != right:
            answer = b"<Error><Code>BadDigest</Code><Message>The body is another.</Message></Error>"
            start_response("400 Bad Request", [("Content-Length", str(len(answer)))])
            return [answer]
        return self.app(environ, start_response)


def told(bucket, line):
    what, _, name = line.strip().partition(" ")
    kept = bucket.keys.get(name)
    if what == "has":
        return str(kept is not None)
    if what == "locked":
        return f"{kept.lock_mode or ''} {kept.lock_until or ''}"
    if what == "lose":
        del bucket.keys[name]
    elif what == "damage":
        value = bytearray(kept.value)
        value[len(value) // 2] ^= 1
        kept.value = bytes(value)
    return "done"


def main():
    said = argparse.ArgumentParser()
    said.add_argument("--bucket", required=True)
    said.add_argument("--access-key", required=True)
    said.add_argument("--secret-key", required=True)
    said.add_argument("--lock", action="store_true", help="a bucket with object lock")
    said.add_argument("--filled", nargs=2, metavar=("PREFIX", "OBJECTS"))
    said = said.parse_args()

    people = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    people.create_user(region_name="us-east-1", user_name="router")
    people.put_user_policy("router", "all", ALL)
    key = people.create_access_key("router")
    key.access_key_id, key.secret_access_key = said.access_key, said.secret_key

    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    store.create_bucket(said.bucket, "us-east-1")
    if said.lock:
        bucket = store.get_bucket(said.bucket)
        bucket.object_lock_enabled = True
        bucket.versioning_status = "Enabled"
    if said.filled:
        prefix, objects = said.filled
        for n in range(int(objects)):
            store.put_object(said.bucket, f"{prefix}{n:05}", b"x")

    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    app = Checked(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    bucket = store.get_bucket(said.bucket)
    for line in sys.stdin:
        print(told(bucket, line), flush=True)


main()
