//! Disks that the test makes, and does to what disks do.
//!
//! An image of ext4 on a loop device, which takes root. Who is not root gets a tmpfs of that size in a namespace
//! of its own where that suffices. If neither can be had the test fails, and says what is missing.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Says to this program that it is in a namespace of its own.
const INSIDE: &str = "TAIMAT_TEST_INSIDE";

/// Runs a program and returns what it says.
fn tell<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String, String> {
    let out = Command::new(program).args(arguments).output();
    let out = out.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    let all: Vec<_> = arguments
        .iter()
        .map(|a| a.as_ref().to_string_lossy())
        .collect();
    match out.status.success() {
        true => Ok(said),
        false => Err(format!("{program} {}: {why}", all.join(" "))),
    }
}

fn must<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> String {
    tell(program, arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether the test may go on here. If this process may not mount, another one that may has run it instead.
pub(crate) fn here(test: &str) -> bool {
    if is_root() || std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare, of Debian's package util-linux");
    assert!(
        status.success(),
        "failed, or this kernel gives users no namespaces and this user is not root"
    );
    false
}

/// A disk of its own.
#[derive(Debug)]
pub(crate) struct Disk {
    around: TempDir,
    /// None if it is a tmpfs.
    device: Option<String>,
    /// The image lies on a tmpfs whose room can be taken away.
    thin: bool,
}

impl Disk {
    /// A disk of so many MiB; ext4 if there can be one.
    pub(crate) fn new(mib: u64) -> Self {
        if is_root() && std::env::var_os(INSIDE).is_none() {
            return Self::ext4(mib);
        }
        let disk = Self::empty();
        let size = format!("size={mib}M");
        let path = disk.path();
        must(
            "mount",
            &[
                "-t".as_ref(),
                "tmpfs".as_ref(),
                "-o".as_ref(),
                OsStr::new(&size),
                "tmpfs".as_ref(),
                path.as_os_str(),
            ],
        );
        disk
    }

    /// A disk of so many MiB with ext4.
    pub(crate) fn ext4(mib: u64) -> Self {
        assert!(
            is_root(),
            "this test makes disks: it needs root and loop devices"
        );
        let disk = Self::empty();
        let image = disk.image();
        disk.make(&image, mib, &["-O", "has_journal"])
    }

    /// One of which writing fails when its room is taken away: the image is sparse, and lies on a tmpfs.
    pub(crate) fn thin(mib: u64) -> Self {
        assert!(
            is_root(),
            "this test makes disks: it needs root and loop devices"
        );
        let mut disk = Self::empty();
        let below = disk.around.path().join("below");
        fs::create_dir(&below).unwrap();
        let size = format!("size={mib}M");
        must(
            "mount",
            &[
                "-t".as_ref(),
                "tmpfs".as_ref(),
                "-o".as_ref(),
                OsStr::new(&size),
                "tmpfs".as_ref(),
                below.as_os_str(),
            ],
        );
        disk.thin = true;
        let image = disk.image();
        // Without a journal: one that can not be written would make all of it read-only.
        disk.make(&image, mib * 2, &["-O", "^has_journal", "-E", "nodiscard"])
    }

    fn empty() -> Self {
        let around = tempfile::tempdir().unwrap();
        fs::create_dir(around.path().join("disk")).unwrap();
        Self {
            around,
            device: None,
            thin: false,
        }
    }

    fn make(mut self, image: &Path, mib: u64, options: &[&str]) -> Self {
        File::create(image).unwrap().set_len(mib << 20).unwrap();
        let mut make: Vec<&OsStr> = ["-q", "-F", "-m", "0"].iter().map(OsStr::new).collect();
        make.extend(options.iter().map(OsStr::new));
        make.push(image.as_os_str());
        must("mkfs.ext4", &make);
        self.device = Some(attach(image));
        self.mount();
        self
    }

    /// A copy of what the disk has at this moment, as another one.
    pub(crate) fn copy(&self) -> Self {
        let mut copy = Self::empty();
        let image = copy.around.path().join("image");
        let from = self.image();
        // The kernel may write meanwhile, and a disk has all or nothing of each moment: until nothing changes.
        for _ in 0..20 {
            must(
                "cp",
                &[
                    "--sparse=always".as_ref(),
                    from.as_os_str(),
                    image.as_os_str(),
                ],
            );
            if tell(
                "cmp",
                &["--quiet".as_ref(), from.as_os_str(), image.as_os_str()],
            )
            .is_ok()
            {
                break;
            }
        }
        copy.device = Some(attach(&image));
        copy
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.around.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        match self.thin {
            true => self.around.path().join("below/image"),
            false => self.around.path().join("image"),
        }
    }

    fn device(&self) -> &str {
        self.device
            .as_deref()
            .expect("a disk of its own: it needs root and loop devices")
    }

    pub(crate) fn mount(&self) {
        let path = self.path();
        // Whatever happened to it: errors are what the test is about.
        must(
            "mount",
            &[
                "-o".as_ref(),
                "errors=continue".as_ref(),
                OsStr::new(self.device()),
                path.as_os_str(),
            ],
        );
    }

    /// As if it were pulled out, for all who come later.
    pub(crate) fn unmount(&self) {
        must("umount", &["--lazy".as_ref(), self.path().as_os_str()]);
    }

    /// What lies there by its name can only be read from now on.
    pub(crate) fn read_only(&self) {
        let path = self.path();
        must(
            "mount",
            &["--bind".as_ref(), path.as_os_str(), path.as_os_str()],
        );
        must(
            "mount",
            &["-o".as_ref(), "remount,bind,ro".as_ref(), path.as_os_str()],
        );
    }

    /// As the kernel does when it finds damage: nothing is written any more until it is mounted anew.
    pub(crate) fn abort(&self) {
        must(
            "mount",
            &[
                "-o".as_ref(),
                "remount,abort".as_ref(),
                self.path().as_os_str(),
            ],
        );
    }

    /// Everybody who writes waits.
    pub(crate) fn freeze(&self) {
        must("fsfreeze", &["--freeze".as_ref(), self.path().as_os_str()]);
    }

    pub(crate) fn thaw(&self) {
        must(
            "fsfreeze",
            &["--unfreeze".as_ref(), self.path().as_os_str()],
        );
    }

    /// It does so many writes a second; 0 as many as it can.
    pub(crate) fn writes_a_second(&self, writes: u32) {
        let name = self.device().trim_start_matches("/dev/");
        let number = fs::read_to_string(format!("/sys/block/{name}/dev")).unwrap();
        let number = number.trim();
        let first = Path::new("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device");
        if first.exists() {
            return fs::write(first, format!("{number} {writes}")).unwrap();
        }
        // The second kind of control groups slows groups down, not everybody.
        let group = Path::new("/sys/fs/cgroup/taimat-test");
        let control = "/sys/fs/cgroup/cgroup.subtree_control";
        let moved = fs::write(control, "+io")
            .and_then(|()| fs::create_dir_all(group))
            .and_then(|()| fs::write(group.join("cgroup.procs"), std::process::id().to_string()));
        moved.expect("a control group of blkio or io, to make a disk slow");
        let most = match writes {
            0 => "max".to_owned(),
            writes => writes.to_string(),
        };
        fs::write(group.join("io.max"), format!("{number} wiops={most}")).unwrap();
    }

    /// Somebody else's file takes all room but for so many bytes.
    pub(crate) fn fill(&self, but: u64) -> PathBuf {
        fill(&self.path(), but)
    }

    /// What lies under the disk has no room any more: what is new fails when it is written back.
    pub(crate) fn starve(&self) -> PathBuf {
        assert!(self.thin);
        fill(&self.around.path().join("below"), 0)
    }

    /// Bytes that are free.
    pub(crate) fn free(&self) -> u64 {
        free(&self.path())
    }
}

fn free(folder: &Path) -> u64 {
    let found = nix::sys::statvfs::statvfs(folder).unwrap();
    found.blocks_available() * found.fragment_size()
}

fn fill(folder: &Path, but: u64) -> PathBuf {
    let path = folder.join("somebody-elses");
    let mut file = File::create(&path).unwrap();
    let block = vec![0xA5; 1 << 20];
    let mut size = block.len();
    while size >= 1024 {
        let room = free(folder).saturating_sub(but);
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(size);
        if most < size && but > 0 || file.write_all(&block[..size]).is_err() {
            size /= 2;
        }
    }
    drop(file.sync_all());
    path
}

fn attach(image: &Path) -> String {
    let mut tried = Err(String::new());
    // Another test may take the same one at the same time.
    for _ in 0..20 {
        tried = tell(
            "losetup",
            &["--find".as_ref(), "--show".as_ref(), image.as_os_str()],
        );
        if tried.is_ok() {
            break;
        }
    }
    tried.unwrap_or_else(|error| panic!("a loop device is missing: {error}"))
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.path();
        if let Some(device) = &self.device {
            drop(tell("fsfreeze", &["--unfreeze".as_ref(), path.as_os_str()]));
            let name = device.trim_start_matches("/dev/");
            if let Ok(number) = fs::read_to_string(format!("/sys/block/{name}/dev")) {
                let first = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device";
                drop(fs::write(first, format!("{} 0", number.trim())));
            }
        }
        // Some were mounted over others.
        while tell("umount", &["--lazy".as_ref(), path.as_os_str()]).is_ok() {}
        if let Some(device) = &self.device {
            drop(tell("losetup", &["--detach", device]));
        }
        if self.thin {
            drop(tell(
                "umount",
                &[
                    "--lazy".as_ref(),
                    self.around.path().join("below").as_os_str(),
                ],
            ));
        }
    }
}
