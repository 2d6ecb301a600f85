"""A camera made of GStreamer's RTSP server: drawn pictures with a machine-readable frame number.

Started by the test kit with its options as JSON in argv[1]; prints its port, then serves until it is
killed.
"""
import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

OPTIONS = json.loads(sys.argv[1])
WIDTH, HEIGHT, RATE = OPTIONS["width"], OPTIONS["height"], OPTIONS["rate"]
CELLS = 32

Gst.init(None)


def row(number):
    """The row of cells at the picture's top: 24 bits of number, 8 bits of check sum."""
    number &= 0xFFFFFF
    check = (sum(number.to_bytes(3, "big")) + 0xA5) & 0xFF
    word = number << 8 | check
    cell = WIDTH // CELLS
    return b"".join(
        (b"\xeb" if word >> (CELLS - 1 - bit) & 1 else b"\x10") * cell for bit in range(CELLS)
    )


def picture(number):
    cells = WIDTH // CELLS // 2
    shade = bytes([90 + (number * 3) % 60])
    luma = row(number) * cells + shade * (WIDTH * (HEIGHT - cells))
    return luma + b"\x80" * (WIDTH * HEIGHT // 2)


VIDEO = {
    "h264": "x264enc bitrate={kbit} key-int-max={key} {tune} ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast bitrate={kbit} key-int-max={key} "
    "! h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
    "vp8": "vp8enc deadline=1 ! rtpvp8pay name=pay0 pt=96",
}
AUDIO = {
    "pcmu": "audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0",
    "pcma": "audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8",
    "aac": "audio/x-raw,rate=16000,channels=1 ! avenc_aac ! rtpmp4gpay name=pay1 pt=97",
    "opus": "audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay name=pay1 pt=97",
}


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.set_shared(True)
        # A stalled or broken client must not hold the others up.
        self.set_latency(0)

    def do_create_element(self, url):
        # The zerolatency tune and the ultrafast preset both switch B-frames off.
        tune = "tune=zerolatency speed-preset=ultrafast"
        if OPTIONS["b_frames"]:
            tune = "speed-preset=veryfast bframes=2 option-string=b-adapt=0:bframes=2 ! video/x-h264,profile=main"
        video = VIDEO[OPTIONS["video"]].format(
            kbit=OPTIONS["kbit"], key=OPTIONS["keyframe_interval"], tune=tune
        )
        launch = (
            "( appsrc name=src is-live=true do-timestamp=false block=false format=time "
            f"caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={RATE}/1 "
            f"! queue ! {video}"
        )
        if OPTIONS["audio"]:
            launch += f" audiotestsrc is-live=true volume=0.05 ! {AUDIO[OPTIONS['audio']]}"
        return Gst.parse_launch(launch + " )")

    def do_configure(self, media):
        source = media.get_element().get_child_by_name("src")
        start = {"count": 0}

        def tick():
            buffer = Gst.Buffer.new_wrapped(picture(self.number))
            buffer.pts = start["count"] * Gst.SECOND // RATE
            buffer.duration = Gst.SECOND // RATE
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return False
            self.number += 1
            start["count"] += 1
            return True

        GLib.timeout_add(1000 // RATE, tick)


def protect(server, factory, kind):
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if kind == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest("router", "s3cret-for-tests", token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        basic = GstRtspServer.RTSPAuth.make_basic("router", "s3cret-for-tests")
        auth.add_basic(basic, token)
    server.set_auth(auth)
    structure = Gst.Structure.new_empty("viewer")
    structure.set_value("media.factory.access", True)
    structure.set_value("media.factory.construct", True)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(str(OPTIONS["port"]))
factory = Factory()
protocols = {
    "tcp": GstRtsp.RTSPLowerTrans.TCP,
    "udp": GstRtsp.RTSPLowerTrans.UDP,
    "both": GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP,
}
factory.set_protocols(protocols[OPTIONS["transport"]])
if OPTIONS["auth"]:
    protect(server, factory, OPTIONS["auth"])
server.get_mount_points().add_factory("/cam", factory)
if server.attach(None) == 0:
    sys.exit("the RTSP server could not be started")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
