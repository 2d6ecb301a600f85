"""A viewer on GStreamer: `webrtcbin` with WHEP around it, or `rtspsrc`.

Arguments: `whep` or `rtsp`, the address, what is wanted, seconds at most. For `whep` that is the caps of
each media section in order, separated by `+`; for `rtsp` the lower transport (`tcp`, `udp`). Prints how
many frames of each kind were decoded as JSON, as soon as there are enough of each that is expected:
pictures always, sound if a fifth argument is `sound`.
"""
import ctypes
import json
import sys
import urllib.error
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

KIND, ADDRESS, WANTED, SECONDS = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
ENOUGH = {"video": 20, **({"audio": 20} if sys.argv[5:] == ["sound"] else {})}

Gst.init(None)
pipeline = Gst.Pipeline()
loop = GLib.MainLoop()
decoded = {"video": 0, "audio": 0}


def count(_pad, _info, kind):
    decoded[kind] += 1
    if all(decoded[kind] >= enough for kind, enough in ENOUGH.items()):
        GLib.idle_add(loop.quit)
    return Gst.PadProbeReturn.OK


def on_decoded(_decoder, pad):
    kind = pad.get_current_caps().to_string().split("/")[0]
    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", True)
    pipeline.add(sink)
    sink.sync_state_with_parent()
    pad.link(sink.get_static_pad("sink"))
    sink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, count, kind)


def on_pad(_source, pad):
    if pad.get_direction() != Gst.PadDirection.SRC:
        return
    decoder = Gst.ElementFactory.make("decodebin")
    decoder.connect("pad-added", on_decoded)
    pipeline.add(decoder)
    decoder.sync_state_with_parent()
    pad.link(decoder.get_static_pad("sink"))


def post(sdp):
    request = urllib.request.Request(ADDRESS, sdp.encode(), {"Content-Type": "application/sdp"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.read()
    except urllib.error.HTTPError as refused:
        print(refused.code, refused.read().decode(), file=sys.stderr)
        loop.quit()
        return None


def use_loopback(webrtc):
    """libnice leaves loopback out by itself; the router of a test is nowhere else."""
    gobject = ctypes.CDLL("libgobject-2.0.so.0")
    nice = ctypes.CDLL("libnice.so.10")
    get = gobject.g_object_get
    get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
    ice, agent = ctypes.c_void_p(), ctypes.c_void_p()
    get(hash(webrtc), b"ice-agent", ctypes.byref(ice), None)
    get(ice, b"agent", ctypes.byref(agent), None)
    nice.nice_address_new.restype = ctypes.c_void_p
    address = ctypes.c_void_p(nice.nice_address_new())
    nice.nice_address_set_from_string(address, b"127.0.0.1")
    nice.nice_agent_add_local_address(agent, address)


def whep():
    webrtc = Gst.ElementFactory.make("webrtcbin")
    webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    pipeline.add(webrtc)
    use_loopback(webrtc)
    for caps in WANTED.split("+"):
        receives = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        webrtc.emit("add-transceiver", receives, Gst.Caps.from_string(caps))
    webrtc.connect("pad-added", on_pad)
    asked = []

    def offer():
        if asked:
            return False
        asked.append(True)
        answer = post(webrtc.get_property("local-description").sdp.as_text())
        if answer is not None:
            _, message = GstSdp.SDPMessage.new()
            GstSdp.sdp_message_parse_buffer(answer, message)
            kind = GstWebRTC.WebRTCSDPType.ANSWER
            description = GstWebRTC.WebRTCSessionDescription.new(kind, message)
            webrtc.emit("set-remote-description", description, Gst.Promise.new())
        return False

    def on_gathering(_webrtc, _property):
        if webrtc.get_property("ice-gathering-state").value_nick == "complete":
            GLib.idle_add(offer)

    def on_offer(promise, _data):
        # What is in the reply lives as long as the reply.
        reply = promise.get_reply()
        description = reply.get_value("offer")
        webrtc.emit("set-local-description", description, Gst.Promise.new())

    def on_negotiation(_webrtc):
        promise = Gst.Promise.new_with_change_func(on_offer, None)
        webrtc.emit("create-offer", None, promise)

    webrtc.connect("notify::ice-gathering-state", on_gathering)
    webrtc.connect("on-negotiation-needed", on_negotiation)


def rtsp():
    source = Gst.ElementFactory.make("rtspsrc")
    source.set_property("location", ADDRESS)
    source.set_property("protocols", {"tcp": 4, "udp": 1}[WANTED])
    source.connect("pad-added", on_pad)
    pipeline.add(source)


def on_error(_bus, message):
    print(message.parse_error(), file=sys.stderr)
    loop.quit()


{"whep": whep, "rtsp": rtsp}[KIND]()
bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message::error", on_error)
pipeline.set_state(Gst.State.PLAYING)
GLib.timeout_add(int(SECONDS * 1000), loop.quit)
loop.run()
print(json.dumps(decoded), flush=True)
pipeline.set_state(Gst.State.NULL)
