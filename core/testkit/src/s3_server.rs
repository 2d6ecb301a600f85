//! An S3 server that we did not write: it holds signatures, digests and checksums against what comes, and
//! knows object lock. `moto`, with what it leaves out (`python/s3.py`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use crate::python;

const SCRIPT: &str = include_str!("../python/s3.py");

/// Who may sign.
pub const ACCESS_KEY: &str = "TAIMATTEST";
/// With what.
pub const SECRET_KEY: &str = "a-secret-of-the-test-only";

/// A running one with one bucket; ended when dropped.
#[derive(Debug)]
pub struct S3Server {
    process: Child,
    port: u16,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// What its bucket is like at first.
#[derive(Debug, Clone, Copy, Default)]
pub struct S3Options<'a> {
    /// Objects can be locked.
    pub lock: bool,
    /// So many objects are in it, with keys that begin so.
    pub filled: Option<(&'a str, usize)>,
}

impl S3Server {
    /// Starts with one bucket. Waits for it.
    ///
    /// # Errors
    /// If it can not be installed or does not start.
    pub fn start(bucket: &str, options: S3Options<'_>) -> anyhow::Result<Self> {
        let mut command = Command::new(python::programs()?.join("python"));
        command.args(["-c", SCRIPT, "--bucket", bucket]);
        command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]);
        if options.lock {
            command.arg("--lock");
        }
        if let Some((prefix, objects)) = options.filled {
            command.args(["--filled", prefix, &objects.to_string()]);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the S3 server")?;
        let stdin = process.stdin.take().context("no input")?;
        let mut stdout = BufReader::new(process.stdout.take().context("no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let port = line.trim().parse().context("the S3 server did not start")?;
        Ok(Self {
            process,
            port,
            talk: Mutex::new((stdin, stdout)),
        })
    }

    /// Where it is, for a place of S3 with the bucket in the path.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether it has an object.
    ///
    /// # Errors
    /// If it has ended.
    pub fn has(&self, key: &str) -> anyhow::Result<bool> {
        Ok(self.tell("has", key)? == "True")
    }

    /// How an object is locked and until when; nothing if it is not.
    ///
    /// # Errors
    /// If it has ended, or has no such object.
    pub fn locked(&self, key: &str) -> anyhow::Result<String> {
        self.tell("locked", key)
    }

    /// Another byte is in an object, and nobody is told.
    ///
    /// # Errors
    /// If it has ended, or has no such object.
    pub fn damage(&self, key: &str) -> anyhow::Result<()> {
        self.tell("damage", key).map(drop)
    }

    /// An object is gone, and nobody is told.
    ///
    /// # Errors
    /// If it has ended, or has no such object.
    pub fn lose(&self, key: &str) -> anyhow::Result<()> {
        self.tell("lose", key).map(drop)
    }

    fn tell(&self, what: &str, key: &str) -> anyhow::Result<String> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *talk;
        writeln!(stdin, "{what} {key}")?;
        let mut line = String::new();
        let read = stdout.read_line(&mut line)?;
        anyhow::ensure!(read > 0, "the S3 server has ended");
        Ok(line.trim().to_owned())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // Whether it has ended by itself or not.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
