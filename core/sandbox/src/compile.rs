//! Compiles components, one of a commune at a time, away from everything that is in a hurry, and keeps
//! what came out on disk.
//!
//! What is kept is native code: it is used only if this installation's own key made its tag, so
//! that nobody who can write to the folder, and no plugin, can bring code of their own.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use nix::unistd::geteuid;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use taimat_base::CommuneId;
use taimat_contract::package::PackageDigest;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::confine::confine;

const TAG_BYTES: usize = 32;
/// What is kept takes no more of the disk; what was not used for longest goes.
const CACHE_BYTES: u64 = 512 << 20;

/// Why a component was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// It is not valid.
    #[error("it is not valid: {0}")]
    Invalid(String),
    /// It took too long.
    #[error("compiling took longer than {0:?}")]
    TooLong(Duration),
    /// The compiler died: most likely of too little memory.
    #[error("the compiler gave up: {0}")]
    Died(String),
    /// The compiler could not be started.
    #[error("the compiler can not be started: {0}")]
    Start(String),
}

/// Where compiling happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// In a child process with a cap on time and memory: this program, called with
    /// [`WORKER_ARGUMENT`] and the memory in bytes.
    Child(PathBuf, Caps),
    /// On a thread of this process, for tools that run one component of their user's.
    Here,
}

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// A component that takes longer was made to.
    pub time: Duration,
    /// Memory.
    pub memory_bytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(120),
            memory_bytes: 2 << 30,
        }
    }
}

/// The argument that makes the program a compiler; see [`worker`].
pub const WORKER_ARGUMENT: &str = "compile-component";

/// Compiles and remembers.
#[derive(Debug)]
pub(crate) struct Compiler {
    engine: Engine,
    place: Where,
    cache: Option<CompiledCache>,
    turns: Turns,
}

/// Components compiled at once: each may take gigabytes.
const AT_ONCE: usize = 2;

/// Whose turn it is. One component of a commune at a time, so that a commune with many does not hold
/// up the others; a turn is given back when whoever waits for it is dropped.
#[derive(Debug)]
struct Turns {
    machine: Semaphore,
    communes: Mutex<BTreeMap<CommuneId, Weak<Semaphore>>>,
}

impl Turns {
    fn new() -> Self {
        Self {
            machine: Semaphore::new(AT_ONCE),
            communes: Mutex::default(),
        }
    }

    fn of(&self, commune: &CommuneId) -> Arc<Semaphore> {
        let mut communes = self.communes.lock().unwrap_or_else(|e| e.into_inner());
        communes.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = communes.get(commune).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Semaphore::new(1));
        communes.insert(commune.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[derive(Debug)]
pub(crate) struct CompiledCache {
    folder: PathBuf,
    key: hmac::Key,
    /// The engine's settings and version: code made by another does not fit.
    engine: String,
    /// Bytes on disk at most.
    room: u64,
}

/// How a component was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Compiled,
    Cached,
}

impl Compiler {
    /// `cache`: where what was compiled is kept, if it is.
    pub(crate) fn new(engine: Engine, place: Where, cache: Option<CompiledCache>) -> Self {
        Self {
            engine,
            place,
            cache,
            turns: Turns::new(),
        }
    }

    /// Compiles for a commune, unless it was compiled before. Who drops the future ends the child.
    pub(crate) async fn compile(
        &self,
        commune: &CommuneId,
        bytes: &Arc<Vec<u8>>,
        digest: PackageDigest,
    ) -> Result<(Component, Source), CompileError> {
        let failed = |why: &str| CompileError::Died(why.to_owned());
        if let Some(component) = self.cached(digest) {
            return Ok((component, Source::Cached));
        }
        let turn = self.turns.of(commune);
        let _turn = turn.acquire().await.map_err(|_closed| failed("stopping"))?;
        let machine = self.turns.machine.acquire().await;
        let _machine = machine.map_err(|_closed| failed("stopping"))?;
        // Whose turn was before may have compiled the same.
        if let Some(component) = self.cached(digest) {
            return Ok((component, Source::Cached));
        }
        let code = match &self.place {
            Where::Child(program, caps) => compile_in_child(program, *caps, bytes).await?,
            Where::Here => {
                let (engine, bytes) = (self.engine.clone(), Arc::clone(bytes));
                let compile = move || engine.precompile_component(&bytes);
                tokio::task::spawn_blocking(compile)
                    .await
                    .map_err(|_panicked| failed("it panicked"))?
                    .map_err(|e| CompileError::Invalid(one_line(&format!("{e:#}"))))?
            }
        };
        let component = component(&self.engine, &code)
            .map_err(|e| CompileError::Died(one_line(&format!("{e:#}"))))?;
        if let Some(cache) = &self.cache {
            cache.put(digest, &code);
        }
        Ok((component, Source::Compiled))
    }

    fn cached(&self, digest: PackageDigest) -> Option<Component> {
        let code = self.cache.as_ref()?.get(digest)?;
        component(&self.engine, &code).ok()
    }
}

fn one_line(text: &str) -> String {
    taimat_base::text::line(text, 400)
}

#[expect(unsafe_code, reason = "wasmtime's own way to load what it compiled")]
fn component(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes come from this engine's compiler: from this process, from the child that it
    // started, or from the cache, which has checked that this installation's key made their tag.
    unsafe { Component::deserialize(engine, code) }
}

async fn compile_in_child(
    program: &Path,
    caps: Caps,
    bytes: &Arc<Vec<u8>>,
) -> Result<Vec<u8>, CompileError> {
    let start = |e: io::Error| CompileError::Start(e.to_string());
    let mut child = tokio::process::Command::new(program)
        .arg(WORKER_ARGUMENT)
        .arg(caps.memory_bytes.to_string())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else {
        return Err(CompileError::Start("no pipes".into()));
    };
    let work = async {
        let (mut code, mut said) = (Vec::new(), String::new());
        let mut stderr = stderr.take(4096);
        let give = async {
            // A child that does not read to the end says why at its own end.
            let _given = tokio::io::AsyncWriteExt::write_all(&mut stdin, bytes).await;
            drop(stdin);
        };
        let (_, read, _) = tokio::join!(
            give,
            stdout.read_to_end(&mut code),
            stderr.read_to_string(&mut said)
        );
        let status = child.wait().await.map_err(start)?;
        match (status.code(), read) {
            (Some(0), Ok(_)) => Ok(code),
            (Some(1), _) => Err(CompileError::Invalid(one_line(&said))),
            _ => {
                let mib = caps.memory_bytes >> 20;
                let why = format!("{status}; compiling may take {mib} MiB");
                Err(CompileError::Died(why))
            }
        }
    };
    tokio::time::timeout(caps.time, work)
        .await
        .unwrap_or(Err(CompileError::TooLong(caps.time)))
}

/// What the child does: a component on its standard input becomes native code on its output. Call it before
/// there are other threads. Returns the process's exit code.
pub fn worker(memory_bytes: u64) -> u8 {
    let run = || -> Result<(), String> {
        confine(memory_bytes, Caps::default().time).map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        let limit = taimat_contract::package::MAX_BYTES as u64;
        io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|e| e.to_string())?;
        let engine = Engine::new(&crate::engine::config(1)).map_err(|e| format!("{e:#}"))?;
        let code = engine
            .precompile_component(&bytes)
            .map_err(|e| format!("{e:#}"))?;
        io::stdout().write_all(&code).map_err(|e| e.to_string())
    };
    match run() {
        Ok(()) => 0,
        Err(why) => {
            // Nobody is left to tell if this fails.
            let _told = writeln!(io::stderr(), "{why}");
            1
        }
    }
}

/// The key, if nobody else can have put it there.
fn own_key(file: &Path) -> Option<Vec<u8>> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::symlink_metadata(file).ok()?;
    let ours = about.is_file() && about.uid() == geteuid().as_raw() && about.mode() & 0o077 == 0;
    let key = std::fs::read(file).ok().filter(|_| ours)?;
    (key.len() == 32).then_some(key)
}

impl CompiledCache {
    pub(crate) fn open(folder: &Path, engine: &Engine) -> io::Result<Self> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let file = folder.join("key");
        let key = match own_key(&file) {
            Some(key) => key,
            None => {
                // Whatever is there, a file that others can write to for one, is not what ours was.
                let _removed = std::fs::remove_file(&file);
                let mut key = vec![0; 32];
                SystemRandom::new()
                    .fill(&mut key)
                    .map_err(|_unspecified| io::Error::other("no randomness"))?;
                let mut new = std::fs::File::options()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&file)?;
                new.write_all(&key)?;
                key
            }
        };
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            folder: folder.to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            engine: format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish()),
            room: CACHE_BYTES,
        })
    }

    fn file(&self, digest: PackageDigest) -> PathBuf {
        self.folder.join(format!("{digest}-{}.cwasm", self.engine))
    }

    /// What the tag covers: the code, and which component and engine it is for.
    fn signed(&self, digest: PackageDigest, code: &[u8]) -> Vec<u8> {
        [format!("{digest} {}\n", self.engine).as_bytes(), code].concat()
    }

    fn get(&self, digest: PackageDigest) -> Option<Vec<u8>> {
        let mut file = std::fs::File::open(self.file(digest)).ok()?;
        let mut kept = Vec::new();
        file.read_to_end(&mut kept).ok()?;
        let code = kept.split_off(TAG_BYTES.min(kept.len()));
        let verified = hmac::verify(&self.key, &self.signed(digest, &code), &kept);
        if verified.is_err() {
            tracing::warn!(%digest, "compiled code in the cache is not ours; compiling again");
            return None;
        }
        // What can not be marked as used goes before its time, and is compiled again.
        let _marked = file.set_modified(taimat_base::clock::wall());
        Some(code)
    }

    fn put(&self, digest: PackageDigest, code: &[u8]) {
        let tag = hmac::sign(&self.key, &self.signed(digest, code));
        let file = self.file(digest);
        let temporary = file.with_extension("new");
        let written = std::fs::write(&temporary, [tag.as_ref(), code].concat())
            .and_then(|()| std::fs::rename(&temporary, &file));
        if let Err(error) = written {
            tracing::warn!(%error, "compiled code can not be kept");
        }
        if let Err(error) = self.prune() {
            tracing::warn!(%error, "old compiled code can not be removed");
        }
    }

    /// Removes what was not used for longest, also what other builds have left.
    fn prune(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name() != "key" {
                let metadata = entry.metadata()?;
                kept.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        kept.sort_unstable();
        let mut total: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, file) in kept {
            if total <= self.room {
                break;
            }
            std::fs::remove_file(file)?;
            total -= bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn engine() -> Engine {
        Engine::new(&crate::engine::config(1)).unwrap()
    }

    fn commune() -> CommuneId {
        "thu".parse().unwrap()
    }

    #[tokio::test]
    async fn a_commune_has_one_turn_and_keeps_it_from_nobody_else() {
        let turns = Turns::new();
        let (own, other) = (turns.of(&commune()), turns.of(&"ha".parse().unwrap()));
        let first = own.try_acquire().unwrap();
        assert!(turns.of(&commune()).try_acquire().is_err());
        assert!(other.try_acquire().is_ok());
        drop(first);
        assert!(turns.of(&commune()).try_acquire().is_ok());
        drop((own, other));
        // Nobody waits: nothing is kept of them.
        let _last = turns.of(&"x".parse().unwrap());
        assert_eq!(turns.communes.lock().unwrap().len(), 1);
    }

    /// A compiler that never comes to an end.
    #[cfg(target_os = "linux")]
    fn stuck(folder: &Path) -> Where {
        use std::os::unix::fs::PermissionsExt;
        let program = folder.join("stuck");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Where::Child(program, Caps::default())
    }

    #[tokio::test]
    async fn what_is_kept_waits_for_nobody_and_who_gives_up_gives_his_turn_back() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("kept");
        let bytes = Arc::new(EMPTY.to_vec());
        let digest = PackageDigest::of(EMPTY);
        let cache = || CompiledCache::open(&data, &engine()).ok();
        let here = Compiler::new(engine(), Where::Here, cache());
        here.compile(&commune(), &bytes, digest).await.unwrap();
        let compiler = Compiler::new(engine(), stuck(folder.path()), cache());
        let other = Arc::new([EMPTY, b"\0\x02\x01a"].concat());
        let commune = commune();
        let stuck = compiler.compile(&commune, &other, PackageDigest::of(&other));
        let mut stuck = Box::pin(stuck);
        let compiling = tokio::time::timeout(Duration::from_millis(50), &mut stuck).await;
        assert!(compiling.is_err(), "it compiles: {compiling:?}");
        let kept = compiler.compile(&commune, &bytes, digest).await.unwrap().1;
        assert_eq!(kept, Source::Cached);
        drop(stuck);
        assert_eq!(compiler.turns.machine.available_permits(), AT_ONCE);
    }

    #[tokio::test]
    async fn what_was_compiled_is_kept_and_what_was_altered_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = Arc::new(EMPTY.to_vec());
        let digest = PackageDigest::of(EMPTY);
        let compile = async || {
            let cache = CompiledCache::open(folder.path(), &engine()).unwrap();
            let compiler = Compiler::new(engine(), Where::Here, Some(cache));
            compiler
                .compile(&commune(), &bytes, digest)
                .await
                .unwrap()
                .1
        };
        assert_eq!(compile().await, Source::Compiled);
        assert_eq!(compile().await, Source::Cached);
        let kept = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().path())
            .find(|p| p.extension().is_some_and(|e| e == "cwasm"))
            .unwrap();
        let mut code = std::fs::read(&kept).unwrap();
        let last = code.len() - 1;
        code[last] ^= 1;
        std::fs::write(&kept, code).unwrap();
        assert_eq!(compile().await, Source::Compiled);
        // Another installation's.
        let key = folder.path().join("key");
        std::fs::write(&key, [7; 32]).unwrap();
        assert_eq!(compile().await, Source::Compiled);
        assert_eq!(compile().await, Source::Cached);
        // One that others could have written.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(compile().await, Source::Compiled);
        assert_ne!(std::fs::read(&key).unwrap(), [7; 32]);
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = CompiledCache::open(folder.path(), &engine()).unwrap();
        cache.room = 250;
        let digest = |n: u8| PackageDigest([n; 32]);
        let age = |n: u8, seconds: u64| {
            let file = std::fs::File::open(cache.file(digest(n))).unwrap();
            let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(at).unwrap();
        };
        // Each has 110 bytes with its tag.
        (0..2).for_each(|n| cache.put(digest(n), &[n; 78]));
        age(0, 100);
        age(1, 200);
        // Used, and so newer than the other.
        assert!(cache.get(digest(0)).is_some());
        cache.put(digest(2), &[2; 78]);
        let left = [0, 1, 2].map(|n| cache.get(digest(n)).is_some());
        assert_eq!(left, [true, false, true]);
        assert!(folder.path().join("key").exists());
    }

    #[tokio::test]
    async fn says_why_it_can_not() {
        let compiler = Compiler::new(engine(), Where::Here, None);
        let bytes = Arc::new(b"\0asm\x0d\0\x01\0\x07\x01".to_vec());
        let error = compiler
            .compile(&commune(), &bytes, PackageDigest::of(&bytes))
            .await;
        assert!(matches!(error, Err(CompileError::Invalid(_))), "{error:?}");
        let child = Where::Child("/does/not/exist".into(), Caps::default());
        let compiler = Compiler::new(engine(), child, None);
        let error = compiler
            .compile(&commune(), &bytes, PackageDigest::of(&bytes))
            .await;
        assert!(matches!(error, Err(CompileError::Start(_))), "{error:?}");
    }
}
