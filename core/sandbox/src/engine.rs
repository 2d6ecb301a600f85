//! The engine: how components are compiled and run, and the clock that interrupts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often running code is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// Stack of a guest.
const MAX_STACK_BYTES: usize = 512 << 10;
/// No instance may have more, whatever was granted: the pool reserves address space for it.
pub(crate) const MAX_MEMORY_BYTES: usize = 1 << 30;

/// Instances that are promised without a pool.
const FEW: u32 = 4;

/// The engine and its clock.
pub(crate) struct TickingEngine {
    pub(crate) engine: Engine,
    /// For so many instances at once.
    pub(crate) instances: u32,
    ended: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for TickingEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TickingEngine").finish_non_exhaustive()
    }
}

/// Settings that a compiled component depends on; the cache's key has the engine's own hash of
/// them.
pub(crate) fn config(instances: u32) -> Config {
    let mut config = computing();
    config.allocation_strategy(pooled(instances));
    config
}

/// How guests compute, wherever their memory is.
fn computing() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(MAX_STACK_BYTES)
        .async_stack_size(MAX_STACK_BYTES + (512 << 10))
        .wasm_component_model(true)
        // A recorded run replays bit for bit, whatever processor made the recording.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // The contract is synchronous; this makes an empty call three times as fast.
        .concurrency_support(false);
    config.memory_reservation(MAX_MEMORY_BYTES as u64);
    config
}

fn pooled(instances: u32) -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    // What the guests of all five languages need to load; see the notes on each limit in wasmtime.
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(8))
        .total_memories(instances.saturating_mul(2))
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances)
        .max_core_instances_per_component(64)
        .max_memories_per_component(16)
        .max_tables_per_component(32)
        .table_elements(60_000)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memory_size(MAX_MEMORY_BYTES)
        .max_unused_warm_slots(16);
    InstanceAllocationStrategy::Pooling(pool)
}

/// An engine for so many instances, or half as many, and so on: there are processors with 39 bits of address
/// space, and limits (`ulimit -v`) that leave less. Without a pool at last, each instance for itself. How many it
/// is for.
fn reserve(wanted: u32) -> wasmtime::Result<(Engine, u32)> {
    let mut instances = wanted;
    while instances > 0 {
        match Engine::new(&config(instances)) {
            Ok(engine) => return Ok((engine, instances)),
            Err(error) => {
                tracing::warn!(
                    instances,
                    error = format!("{error:#}"),
                    "no address space for so many instances of plugins; trying half as many"
                );
            }
        }
        instances /= 2;
    }
    Ok((Engine::new(&computing())?, FEW))
}

impl TickingEngine {
    /// Makes an engine for so many instances at once, or as many as there is address space for.
    pub(crate) fn start(instances: u32) -> wasmtime::Result<Self> {
        let (engine, instances) = reserve(instances)?;
        let ended = Arc::new(AtomicBool::new(false));
        let (ticked, until) = (engine.weak(), Arc::clone(&ended));
        let ticker = std::thread::Builder::new()
            .name("plugin-epoch".into())
            .spawn(move || {
                while !until.load(Ordering::Relaxed) {
                    std::thread::park_timeout(TICK);
                    let Some(engine) = ticked.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            engine,
            instances,
            ended,
            ticker: Some(ticker),
        })
    }
}

impl Drop for TickingEngine {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            // It only counts; there is nothing that it could have failed at.
            let _ended = ticker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::hash_map::DefaultHasher;
    use std::hash::{Hash, Hasher};

    /// What the cache of compiled code is kept under.
    fn key(config: &Config) -> u64 {
        let engine = Engine::new(config).unwrap();
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn code_that_computes_otherwise_is_not_taken_from_the_cache() {
        let usual = key(&config(1));
        assert_eq!(usual, key(&config(7)));
        // Nor does it matter how much address space there is.
        assert_eq!(usual, key(&computing()));
        let mut other = config(1);
        assert_ne!(usual, key(other.cranelift_nan_canonicalization(false)));
        let mut other = config(1);
        assert_ne!(usual, key(other.relaxed_simd_deterministic(false)));
    }
}
