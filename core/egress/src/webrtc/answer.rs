//! The answer's SDP (RFC 8829 section 5.3.1).
//!
//! A section that nothing goes into is refused by port zero, unless it is in the bundle with the
//! pictures: then it is taken up as inactive, with the transport that all share. A refused section
//! takes the bundle's transport with it where it was the first (Chromium with max-bundle, GStreamer),
//! and aiortc refuses answers in which any section is without a transport.
//!
//! Cost: once a session. Not here: what is agreed on (`negotiate`).

use std::fmt::Write;
use std::net::SocketAddr;

use super::candidate;
use super::negotiate::{AgreedTrack, Agreement, PLAYOUT_DELAY};
use super::offer::{MediaSection, Offer, OfferedCodec};

/// Our half of the connection's description.
#[derive(Debug, Clone)]
pub struct LocalDescription {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 fingerprint of our certificate, as SDP writes it.
    pub fingerprint: String,
    /// Addresses at which we can be reached.
    pub addresses: Vec<SocketAddr>,
}

/// How a section of the offer is answered.
enum SectionAnswer<'a> {
    /// This goes into it.
    Track(&'a AgreedTrack),
    /// Nothing does, but it belongs to the bundle. The codec it is kept with.
    Idle(&'a OfferedCodec),
    /// A data channel that the bundle can not do without; nothing is said in it.
    Channel,
    Refused,
}

struct AnswerWriter<'a> {
    agreement: &'a Agreement,
    offer: &'a Offer,
    local: &'a LocalDescription,
    /// The sections that share the pictures' transport.
    members: Vec<usize>,
    /// The one of them that speaks for the transport.
    tagged: usize,
    sdp: String,
}

impl Agreement {
    /// The answer's SDP. `id` tells answers apart.
    pub fn answer(&self, offer: &Offer, local: &LocalDescription, id: u64) -> String {
        let section = self.video.section;
        AnswerWriter {
            agreement: self,
            offer,
            local,
            members: offer.bundled_with(section),
            tagged: offer.tagged(section),
            sdp: format!("v=0\r\no=- {id} 1 IN IP4 127.0.0.1\r\ns=Taimat\r\nt=0 0\r\n"),
        }
        .write()
    }
}

impl<'a> AnswerWriter<'a> {
    fn write(mut self) -> String {
        let offer = self.offer;
        let kept = |index: &&usize| !matches!(self.decide(**index), SectionAnswer::Refused);
        let kept: Vec<usize> = self.members.iter().filter(kept).copied().collect();
        let mids = kept.iter().filter_map(|index| offer.sections.get(*index));
        let mids: Vec<&str> = mids
            .filter(|s| s.bundle.is_some())
            .map(|s| s.mid.as_str())
            .collect();
        if !mids.is_empty() {
            self.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
        }
        if offer.extmap_allow_mixed {
            self.line(format_args!("a=extmap-allow-mixed"));
        }
        self.line(format_args!("a=msid-semantic: WMS taimat"));
        // Candidates go where the transport is looked for: into the bundle's first section.
        let first = kept.first().copied();
        for (index, section) in offer.sections.iter().enumerate() {
            match self.decide(index) {
                SectionAnswer::Track(track) => self.track(section, track),
                SectionAnswer::Idle(codec) => self.idle(section, codec),
                SectionAnswer::Channel => self.channel(section),
                SectionAnswer::Refused => self.refuse(section),
            }
            if Some(index) == first {
                for candidate in candidate::describe(&self.local.addresses) {
                    self.line(format_args!("a=candidate:{candidate}"));
                }
                self.line(format_args!("a=end-of-candidates"));
            }
        }
        self.sdp
    }

    fn decide(&self, index: usize) -> SectionAnswer<'a> {
        let agreement = self.agreement;
        if let Some(track) = agreement.tracks().find(|track| track.section == index) {
            return SectionAnswer::Track(track);
        }
        let Some(section) = self.offer.sections.get(index) else {
            return SectionAnswer::Refused;
        };
        if !self.members.contains(&index) {
            return SectionAnswer::Refused;
        }
        match section.kind.as_str() {
            "video" | "audio" if section.rtcp_mux => self.idle_codec(section),
            "application" if index == self.tagged => SectionAnswer::Channel,
            _ => SectionAnswer::Refused,
        }
    }

    /// Best is a payload type that nothing else goes under: some viewers sort packets by that alone.
    fn idle_codec(&self, section: &'a MediaSection) -> SectionAnswer<'a> {
        let codecs = section.codecs.iter().filter(|c| !c.is_helper());
        let in_use = |codec: &&OfferedCodec| {
            let mut tracks = self.agreement.tracks();
            tracks.any(|track| track.send.payload_type == codec.payload_type)
        };
        match codecs.min_by_key(in_use) {
            Some(codec) => SectionAnswer::Idle(codec),
            None => SectionAnswer::Refused,
        }
    }

    fn track(&mut self, section: &MediaSection, track: &AgreedTrack) {
        let AgreedTrack { send, codec, .. } = track;
        let (kind, pt, ssrc) = (&section.kind, send.payload_type, send.ssrc);
        self.begin(section, format_args!("{pt}"));
        let playout_delay = self.agreement.playout_delay;
        if let Some(number) = playout_delay.filter(|_| section.kind == "video") {
            self.line(format_args!("a=extmap:{number} {PLAYOUT_DELAY}"));
        }
        self.line(format_args!("a=sendonly"));
        self.line(format_args!("a=msid:taimat {kind}"));
        self.rtcp(section);
        self.codec(codec);
        for feedback in &codec.feedback {
            self.line(format_args!("a=rtcp-fb:{pt} {feedback}"));
        }
        self.line(format_args!("a=ssrc:{ssrc} cname:taimat"));
        self.line(format_args!("a=ssrc:{ssrc} msid:taimat {kind}"));
    }

    fn idle(&mut self, section: &MediaSection, codec: &OfferedCodec) {
        self.begin(section, format_args!("{}", codec.payload_type));
        self.line(format_args!("a=inactive"));
        self.rtcp(section);
        self.codec(codec);
    }

    fn channel(&mut self, section: &MediaSection) {
        self.begin(section, format_args!("{}", first_format(section)));
        // RFC 8841 section 5.1: the port within the association, which never begins.
        self.line(format_args!("a=sctp-port:5000"));
    }

    /// What every section has that is taken up.
    fn begin(&mut self, section: &MediaSection, format: std::fmt::Arguments<'_>) {
        let (local, kind, protocol) = (self.local, &section.kind, &section.protocol);
        self.line(format_args!("m={kind} 9 {protocol} {format}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=ice-ufrag:{}", local.ufrag));
        self.line(format_args!("a=ice-pwd:{}", local.pwd));
        self.line(format_args!("a=ice-options:trickle"));
        self.line(format_args!("a=fingerprint:sha-256 {}", local.fingerprint));
        self.line(format_args!("a=setup:passive"));
        self.mid(section);
    }

    fn mid(&mut self, section: &MediaSection) {
        if !section.mid.is_empty() {
            self.line(format_args!("a=mid:{}", section.mid));
        }
    }

    fn rtcp(&mut self, section: &MediaSection) {
        self.line(format_args!("a=rtcp:9 IN IP4 0.0.0.0"));
        self.line(format_args!("a=rtcp-mux"));
        if section.rtcp_rsize {
            self.line(format_args!("a=rtcp-rsize"));
        }
    }

    fn codec(&mut self, codec: &OfferedCodec) {
        let OfferedCodec {
            payload_type: pt,
            map,
            fmtp,
            ..
        } = codec;
        self.line(format_args!("a=rtpmap:{pt} {map}"));
        if !fmtp.is_empty() {
            self.line(format_args!("a=fmtp:{pt} {fmtp}"));
        }
    }

    /// A section that is not taken up (RFC 3264 section 6).
    fn refuse(&mut self, section: &MediaSection) {
        let (kind, protocol) = (&section.kind, &section.protocol);
        let format = first_format(section);
        self.line(format_args!("m={kind} 0 {protocol} {format}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.mid(section);
        self.line(format_args!("a=inactive"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String can not fail.
        if self.sdp.write_fmt(text).is_ok() {
            self.sdp.push_str("\r\n");
        }
    }
}

fn first_format(section: &MediaSection) -> &str {
    section.formats.first().map_or("0", String::as_str)
}

#[cfg(test)]
mod tests;
