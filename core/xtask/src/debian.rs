//! What tests need from Debian: installed when we may, named when not.

use std::path::Path;

use crate::run::{command, exists, run, say};

/// A package, and how to see that it is there.
pub(crate) struct Package {
    name: &'static str,
    seen: Seen,
}

enum Seen {
    Program(&'static str),
    /// A file, under any of Debian's multiarch folders if its path is not absolute.
    File(&'static str),
    /// What reads C headers for us, whatever its version.
    Libclang,
    /// What makes an environment of Python's, whatever its version.
    Venv,
}

const fn program(name: &'static str, seen: &'static str) -> Package {
    Package {
        name,
        seen: Seen::Program(seen),
    }
}

const fn file(name: &'static str, seen: &'static str) -> Package {
    Package {
        name,
        seen: Seen::File(seen),
    }
}

/// For benchmarks with a browser.
pub(crate) const BROWSER: [Package; 1] = [program("chromium", "chromium")];

/// Real footage, for benchmarks and for tests of detectors, and what encodes it.
pub(crate) const FOOTAGE: [Package; 2] = [
    program("ffmpeg", "ffmpeg"),
    file(
        "opencv-doc",
        "/usr/share/doc/opencv-doc/examples/data/vtest.avi",
    ),
];

/// For the option to decode by libavcodec.
pub(crate) const LIBAVCODEC: [Package; 4] = [
    program("pkg-config", "pkg-config"),
    file("libavcodec-dev", "pkgconfig/libavcodec.pc"),
    file("libavformat-dev", "pkgconfig/libavformat.pc"),
    Package {
        name: "libclang-dev",
        seen: Seen::Libclang,
    },
];

/// For verifiers from PyPI, and to check signatures over folders.
pub(crate) const PYTHON: [Package; 2] = [
    Package {
        name: "python3-venv",
        seen: Seen::Venv,
    },
    program("openssl", "openssl"),
];

/// For all tests, beside those for libavcodec.
pub(crate) const TESTS: [Package; 22] = [
    program("chromium", "chromium"),
    program("ffmpeg", "ffprobe"),
    program("prometheus", "promtool"),
    program("gstreamer1.0-tools", "gst-launch-1.0"),
    file("python3-gi", "python3/dist-packages/gi/__init__.py"),
    file(
        "gir1.2-gst-rtsp-server-1.0",
        "girepository-1.0/GstRtspServer-1.0.typelib",
    ),
    file("gstreamer1.0-plugins-base", "gstreamer-1.0/libgstapp.so"),
    program("gstreamer1.0-plugins-base-apps", "gst-discoverer-1.0"),
    file("gstreamer1.0-plugins-good", "gstreamer-1.0/libgstrtp.so"),
    file("gstreamer1.0-plugins-bad", "gstreamer-1.0/libgstx265.so"),
    // A viewer by WebRTC, and what it finds its way with.
    file(
        "gir1.2-gst-plugins-bad-1.0",
        "girepository-1.0/GstWebRTC-1.0.typelib",
    ),
    file("gstreamer1.0-nice", "gstreamer-1.0/libgstnice.so"),
    file("gstreamer1.0-plugins-ugly", "gstreamer-1.0/libgstx264.so"),
    file("gstreamer1.0-libav", "gstreamer-1.0/libgstlibav.so"),
    // RTSP servers that others wrote.
    program("vlc-bin", "vlc"),
    file(
        "vlc-plugin-base",
        "vlc/plugins/stream_out/libstream_out_rtp_plugin.so",
    ),
    file("librtsp-server-perl", "/usr/share/perl5/RTSP/Server.pm"),
    // A broker and a mail server, for channels.
    file("mosquitto", "/usr/sbin/mosquitto"),
    program("mosquitto-clients", "mosquitto_sub"),
    // Servers from PyPI are in an environment of their own.
    Package {
        name: "python3-venv",
        seen: Seen::Venv,
    },
    file(
        "python3-aiosmtpd",
        "python3/dist-packages/aiosmtpd/__init__.py",
    ),
    // People who walk across a yard, filmed from above: footage that detectors are tried on.
    file(
        "opencv-doc",
        "/usr/share/doc/opencv-doc/examples/data/vtest.avi",
    ),
];

/// Where libraries are.
const FOLDERS: [&str; 3] = [
    "/usr/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// Whether a file is the C interface of clang: `libclang.so`, `libclang.so.1`, `libclang-14.so.1`.
///
/// `libclang-cpp.so.14`, which graphics drivers bring along, is not.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    rest.starts_with(".so")
        || rest.contains(".so")
            && rest
                .strip_prefix('-')
                .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

fn present(package: &Package) -> bool {
    let mut folders = FOLDERS.iter().map(Path::new);
    match package.seen {
        Seen::Program(name) => exists(name),
        Seen::File(path) => folders.any(|folder| folder.join(path).exists()),
        Seen::Venv => folders.any(|folder| {
            let list = std::fs::read_dir(folder).into_iter().flatten().flatten();
            list.filter(|entry| entry.file_name().to_string_lossy().starts_with("python3."))
                .any(|entry| entry.path().join("ensurepip/__init__.py").exists())
        }),
        Seen::Libclang => folders.any(|folder| {
            let list = std::fs::read_dir(folder).into_iter().flatten().flatten();
            list.map(|entry| entry.file_name().to_string_lossy().into_owned())
                .any(|name| is_libclang(&name))
        }),
    }
}

/// Makes sure that the packages are there.
pub(crate) fn need(packages: &[Package]) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|p| !present(p))
        .map(|p| p.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    say(&format!("installing {list}"));
    let install = || -> anyhow::Result<()> {
        anyhow::ensure!(exists("apt-get"), "there is no apt-get");
        run(command("apt-get").args(["update", "-q"]))?;
        run(command("apt-get")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    install().map_err(|error| {
        anyhow::anyhow!("needed and not there: {list}. Installing them failed ({error:#}); install them and run this again")
    })?;
    let still: Vec<&str> = packages
        .iter()
        .filter(|p| !present(p))
        .map(|p| p.name)
        .collect();
    anyhow::ensure!(
        still.is_empty(),
        "installed, and still not found: {}",
        still.join(" ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_libclang;

    #[test]
    fn another_library_of_clang_does_not_pass_for_libclang() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so.1",
            "libclang-14.so.14.0.6",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclang-14.a",
            "libclangBasic.so",
            "liblang.so",
        ] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
