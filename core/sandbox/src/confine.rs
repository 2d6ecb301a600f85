//! What the compiling child gives up before it reads a component.
//!
//! A compiler of that size has bugs, and what it compiles comes from anybody whom a commune trusts. It needs memory,
//! processor time and the pipes that it has; so it keeps these and nothing else: no files, no network, no other
//! processes, no capabilities, and it ends with its parent. What a kernel is too old for is left out; what it could
//! do and refuses ends the child.

use std::collections::BTreeMap;
use std::time::Duration;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

/// How much a compiling child is behind all else: viewers and recordings are in more of a hurry.
const NICE: i32 = 10;
/// Descriptors: three pipes, and what libraries look for and do not find.
const DESCRIPTORS: u64 = 16;

/// System calls that a compiler has no use for: whatever reaches the network, other processes, programs, the
/// kernel's rarer parts.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_accept4,
    libc::SYS_add_key,
    libc::SYS_bind,
    libc::SYS_bpf,
    libc::SYS_connect,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_kill,
    libc::SYS_listen,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setns,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Why the child is not confined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    /// A limit or a capability.
    #[error("giving up rights: {0}")]
    System(#[from] nix::Error),
    /// Files and network.
    #[error("giving up files: {0}")]
    Files(#[from] landlock::RulesetError),
    /// System calls.
    #[error("giving up system calls: {0}")]
    Calls(#[from] seccompiler::Error),
    /// The filter of system calls.
    #[error("giving up system calls: {0}")]
    Filter(#[from] seccompiler::BackendError),
}

/// Gives up all that compiling does not need. Call it before there are other threads: they would keep files.
pub(crate) fn confine(memory_bytes: u64, time: Duration) -> Result<(), ConfineError> {
    step_back();
    end_with_parent()?;
    // A compiler that asks for more is given nothing, and dies; what it compiled is refused.
    setrlimit(Resource::RLIMIT_DATA, memory_bytes, memory_bytes)?;
    // On all cores together; the parent's clock ends what only waits.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let seconds = time.as_secs().saturating_mul(cores as u64).max(1);
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)?;
    give_up_files()?;
    give_up_capabilities()?;
    give_up_calls()
}

/// Also sets `no_new_privs`.
fn give_up_files() -> Result<(), ConfineError> {
    let abi = ABI::V5;
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(())
}

fn give_up_calls() -> Result<(), ConfineError> {
    // Of an architecture that is not known here nothing can be refused.
    let Ok(architecture) = std::env::consts::ARCH.try_into() else {
        return Ok(());
    };
    let rules: BTreeMap<i64, _> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    apply_filter_all_threads(&program)?;
    Ok(())
}

/// This process lets others go first. Where that is not allowed it works as it is.
#[expect(
    unsafe_code,
    reason = "a system call without memory, which nix does not have"
)]
fn step_back() {
    // SAFETY: it takes a number and touches no memory.
    let _nice = unsafe { libc::nice(NICE) };
}

#[expect(
    unsafe_code,
    reason = "a system call without memory, which nix has only with more features"
)]
fn end_with_parent() -> nix::Result<()> {
    // SAFETY: it takes numbers and touches no memory.
    let done = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    nix::errno::Errno::result(done).map(drop)
}

/// All of them: a router that root runs compiles as nobody in particular.
#[expect(unsafe_code, reason = "a system call that nix does not have")]
fn give_up_capabilities() -> nix::Result<()> {
    /// `struct __user_cap_header_struct` and two of `struct __user_cap_data_struct` (capget(2)), version 3.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let none = [0_u32; 6];
    // SAFETY: the kernel reads a header and two times three numbers, all of which are there.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    nix::errno::Errno::result(done).map(drop)
}
