// What a connection's own statistics come to in figures for people.

export interface Figures {
  /** Estimated delay between the router and the screen, in ms. */
  delay: number | null;
  bitsPerSecond: number | null;
  framesPerSecond: number | null;
  /** Share of packets lost, 0 to 1. */
  loss: number | null;
  width: number | null;
  height: number | null;
}

/** What was counted until a moment. */
export interface Counted {
  bytes: number;
  frames: number;
  lost: number;
  packets: number;
  at: number;
}

/** The figures of the video that comes in, against what was counted before; null if there is none. */
export function figuresOf(
  report: RTCStatsReport,
  before: Counted | null,
): { figures: Figures; now: Counted } | null {
  const entries = Array.from(report.values() as Iterable<RTCStats>);
  const pairs = entries.filter((entry) => entry.type === 'candidate-pair') as RTCIceCandidatePairStats[];
  const trip = pairs.findLast((pair) => pair.nominated)?.currentRoundTripTime ?? 0;
  const streams = entries.filter((entry) => entry.type === 'inbound-rtp') as RTCInboundRtpStreamStats[];
  const stream = streams.find((one) => one.kind === 'video');
  if (!stream) return null;
  const now = {
    bytes: stream.bytesReceived ?? 0,
    frames: stream.framesDecoded ?? 0,
    lost: stream.packetsLost ?? 0,
    packets: stream.packetsReceived ?? 0,
    at: stream.timestamp,
  };
  const emitted = stream.jitterBufferEmittedCount ?? 0;
  const buffered = emitted > 0 ? (stream.jitterBufferDelay ?? 0) / emitted : 0;
  const decoded = now.frames > 0 ? (stream.totalDecodeTime ?? 0) / now.frames : 0;
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const packets = before ? now.packets - before.packets : 0;
  const lost = before ? Math.max(0, now.lost - before.lost) : 0;
  const figures: Figures = {
    delay: (trip / 2 + buffered + decoded) * 1000,
    bitsPerSecond: before && seconds > 0 ? ((now.bytes - before.bytes) * 8) / seconds : null,
    framesPerSecond: before && seconds > 0 ? (now.frames - before.frames) / seconds : null,
    loss: before && packets + lost > 0 ? lost / (packets + lost) : null,
    width: stream.frameWidth ?? null,
    height: stream.frameHeight ?? null,
  };
  return { figures, now };
}
