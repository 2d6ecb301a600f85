"""A viewer on aiortc: ICE, DTLS, SRTP and a jitter buffer that neither we nor a browser's makers wrote.

Arguments: the WHEP endpoint, the media sections in order (`audio,video`), seconds at most. Prints how many
frames of each kind were decoded as JSON, as soon as there are enough of each that was asked for.
"""
import asyncio
import json
import sys
import urllib.error
import urllib.request

from aiortc import RTCPeerConnection, RTCSessionDescription

ENDPOINT, SECTIONS, SECONDS = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3])
ENOUGH = {"video": 20, "audio": 20}


def post(sdp):
    request = urllib.request.Request(ENDPOINT, sdp.encode(), {"Content-Type": "application/sdp"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.read().decode()
    except urllib.error.HTTPError as refused:
        sys.exit(f"{refused.code} {refused.read().decode()}")


async def main():
    connection = RTCPeerConnection()
    for kind in SECTIONS:
        connection.addTransceiver(kind, direction="recvonly")
    decoded = {"video": 0, "audio": 0}
    tasks = []

    @connection.on("track")
    def on_track(track):
        async def read():
            while True:
                await track.recv()
                decoded[track.kind] += 1

        tasks.append(asyncio.ensure_future(read()))

    await connection.setLocalDescription(await connection.createOffer())
    loop = asyncio.get_running_loop()
    answer = await loop.run_in_executor(None, post, connection.localDescription.sdp)
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    until = loop.time() + SECONDS
    while loop.time() < until and any(decoded[kind] < ENOUGH[kind] for kind in SECTIONS):
        await asyncio.sleep(0.1)
    print(json.dumps({**decoded, "state": connection.connectionState}), flush=True)
    for task in tasks:
        task.cancel()
    await connection.close()


asyncio.run(main())
