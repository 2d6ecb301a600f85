//! What signing and checking cost, with media of no meaning:
//! `cargo run --release -p taimat-evidence --example measure -- FOLDER SECONDS`.
//!
//! Measured by itself and not in a test: a test's time says nothing on a machine that does other things.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use taimat_audit::{Digest, after, beginning};
use taimat_evidence::{
    Assertion, AuditPlace, Camera, Clock, ClockSource, CodecFacts, Commune, Export, ExportFacts,
    Interval, Moment, NewRoot, Part, Run, Signer, SigningKey, Trust, init, verify_file,
};

/// A second of 2 Mbit/s.
const PART_BYTES: usize = 250_000;
/// What a second of pictures takes in `moov`.
const MOOV_BYTES_A_PART: usize = 105;
const NOW: i64 = 1_764_028_800_000;
const ROUNDS: usize = 50;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let usage = "measure FOLDER SECONDS";
    let folder = args.next().ok_or(usage)?;
    let seconds: usize = args.next().ok_or(usage)?.parse()?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let keys = tempfile::tempdir()?;
    let signer = signer(keys.path())?;
    let payload: Vec<u8> = (0..PART_BYTES).map(|i| (i * 31).to_le_bytes()[0]).collect();
    let parts = parts(&payload, seconds)?;
    let assertion = assertion(&parts);
    let (header, walls, cpu) = signed(&signer, &assertion, &parts)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{seconds} s: header ready after {:.1} ms median, {:.1} ms p95, {:.1} ms CPU; manifest {} bytes, {:.1} a part",
        ms(walls[walls.len() / 2]),
        ms(walls[walls.len() * 95 / 100]),
        ms(cpu),
        header.manifest_bytes,
        header.manifest_bytes as f64 / parts.len() as f64,
    )?;
    let path = folder.join("measure.mp4");
    let mut file = BufWriter::new(File::create(&path)?);
    file.write_all(&header.bytes)?;
    let before = cpu_time()?;
    for part in &parts {
        if Digest::of(&[&payload]) != part.leaf {
            return Err("a part is not what it was".into());
        }
    }
    let rehash = cpu_time()? - before;
    for _ in &parts {
        file.write_all(&payload)?;
    }
    file.flush()?;
    drop(file);
    let gb = header.file_bytes as f64 / 1e9;
    writeln!(
        out,
        "hashing again while sending: {:.2} CPU s/GB",
        rehash.as_secs_f64() / gb
    )?;
    let trust = Trust::read(signer.key().root_pem(), Some(signer.key().retired_pem()))?;
    let (before, began, high) = (cpu_time()?, Instant::now(), high_kib()?);
    let report = verify_file(&mut File::open(&path)?, &trust, NOW + 120_000)?;
    writeln!(
        out,
        "checked ({:?}): {:.2} s wall, {:.2} s CPU, {:.2} CPU s/GB; memory at most {high} KiB before, {} after",
        report.verdict,
        began.elapsed().as_secs_f64(),
        (cpu_time()? - before).as_secs_f64(),
        (cpu_time()? - before).as_secs_f64() / gb,
        high_kib()?,
    )?;
    std::fs::remove_file(path)?;
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn signed(
    signer: &Signer,
    assertion: &Assertion,
    parts: &[Part],
) -> Outcome<(taimat_evidence::SignedHeader, Vec<Duration>, Duration)> {
    let media: u64 = parts.iter().map(|p| p.bytes).sum();
    let a_box = |kind: &[u8; 4], body: &[u8]| -> Vec<u8> {
        let length = u32::try_from(body.len() + 8).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], kind, body].concat()
    };
    let moov = a_box(
        b"moov",
        &a_box(b"free", &vec![0; MOOV_BYTES_A_PART * parts.len()]),
    );
    let rest = |_: u64, meta: &[u8]| {
        let length = (media + 16).to_be_bytes();
        Ok([&moov[..], meta, &1u32.to_be_bytes(), b"mdat", &length].concat())
    };
    let ftyp = a_box(b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41");
    let export = Export {
        assertion,
        parts,
        ftyp: &ftyp,
        tracks: &[1],
        rest: &rest,
    };
    let mut header = signer.sign(&export)?;
    let mut walls = Vec::new();
    let before = cpu_time()?;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        header = signer.sign(&export)?;
        walls.push(began.elapsed());
    }
    let cpu = (cpu_time()? - before) / u32::try_from(ROUNDS)?;
    walls.sort();
    Ok((header, walls, cpu))
}

fn parts(payload: &[u8], count: usize) -> Outcome<Vec<Part>> {
    let leaf = Digest::of(&[payload]);
    let one = |i: usize| -> Outcome<Part> {
        Ok(Part {
            bytes: payload.len() as u64,
            leaf,
            start_utc_ms: NOW + 1_000 * i64::try_from(i)?,
            duration_ms: 1_000,
        })
    };
    (0..count).map(one).collect()
}

fn signer(folder: &Path) -> Outcome<Signer> {
    let state = folder.join("state");
    let root = NewRoot {
        organization: "UBND phường Hòa Lạc",
        key_file: &folder.join("root.key"),
        passphrase: "measured, not kept",
    };
    init(&state.join("evidence"), &state, &root, NOW)?;
    Ok(Signer::new(SigningKey::open(&state.join("evidence"))?)?)
}

fn assertion(parts: &[Part]) -> Assertion {
    let before = beginning("hoa-lac", "nguyen-du-1");
    let run = Run {
        parts: parts.len() as u64,
        before,
        after: parts.iter().fold(before, |c, p| after(&c, &p.link())),
    };
    let text = str::to_owned;
    let to = Moment(NOW + 1_000 * i64::try_from(parts.len()).unwrap_or(0));
    Assertion {
        commune: Commune {
            id: text("hoa-lac"),
            name: text("Phường Hòa Lạc"),
        },
        camera: Camera {
            id: text("nguyen-du-1"),
            name: text("Nguyễn Du – ngã ba chợ"),
            uri: taimat_evidence::ShownAddress::default(),
            make: None,
            model: None,
            serial: None,
            mac: None,
            place: None,
        },
        interval: Interval {
            requested: [Moment(NOW), to],
            covered: [Moment(NOW), to],
        },
        clock: Clock {
            source: ClockSource::Arrival,
            camera_minus_server_ms: None,
            drift_ppm: None,
            server_sync: text("ntp"),
            server_error_ms: Some(8),
        },
        gaps: Vec::new(),
        chain: vec![run],
        audit: AuditPlace {
            entry: 1,
            head: before,
        },
        export: ExportFacts {
            id: text("01JDEXPORT0000000000000001"),
            by: text("nguyen.van.a"),
            role: text("investigator"),
            reason: text("Xô xát trước chợ"),
            case: text("112/2026"),
            at: Moment(NOW + 60_000),
            software: text("0.1.0"),
            host: text("nas-hl-1"),
        },
        codec: CodecFacts {
            video: Some(text("h264")),
            audio: None,
        },
        transcoded: false,
        camera_signed_sei: false,
    }
}

fn cpu_time() -> Outcome<Duration> {
    Ok(taimat_base::cpu::of_thread())
}

/// The most memory that this process had so far.
fn high_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|l| l.starts_with("VmHWM"))
        .ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}
