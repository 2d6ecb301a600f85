//! What is left of a channel behind a fixed predictor, and how it is written: Rice codes in
//! partitions (RFC 9639 sections 9.2.5 and 9.2.7).

use super::bits::BitWriter;

/// Predictors look at no more samples than these.
const MAX_ORDER: usize = 4;
/// At most so many times is a channel halved. Packets are short.
const MAX_PARTITION_ORDER: u32 = 3;
/// No partition is shorter: each costs four bits.
const MIN_PARTITION: usize = 32;
/// The largest parameter that four bits can say; one more is an escape.
const MAX_PARAMETER: u32 = 14;

/// How a channel is best written, as far as a look at it tells.
#[derive(Debug)]
pub(super) struct Plan {
    /// The predictor.
    pub(super) order: usize,
    /// All bits behind the samples that the predictor begins with, and those too.
    pub(super) bits: u64,
    /// What is left, folded: 0, −1, 1, −2 … are 0, 1, 2, 3 …
    folded: Vec<u32>,
    partition_order: u32,
    parameters: Vec<u32>,
}

/// Finds the predictor that leaves least, then a parameter for every partition.
pub(super) fn plan(samples: &[i32]) -> Plan {
    let order = best_order(samples);
    let mut left: Vec<i32> = samples.to_vec();
    for pass in 1..=order {
        for at in (pass..left.len()).rev() {
            left[at] -= left[at - 1];
        }
    }
    let folded: Vec<u32> = left[order..]
        .iter()
        .map(|n| ((n << 1) ^ (n >> 31)).cast_unsigned())
        .collect();
    let halves = |order: &u32| {
        samples.len().is_multiple_of(1 << order) && samples.len() >> order >= MIN_PARTITION
    };
    let partition_order = (1..=MAX_PARTITION_ORDER).rev().find(halves).unwrap_or(0);
    let mut plan = Plan {
        order,
        // Never more than the depth: the caller compares with the same count of samples as they are.
        bits: 16 * order as u64 + 6,
        folded,
        partition_order,
        parameters: Vec::new(),
    };
    plan.choose(samples.len());
    plan
}

/// The predictor with the smallest sum of what it leaves.
fn best_order(samples: &[i32]) -> usize {
    let mut sums = [0_u64; MAX_ORDER + 1];
    let mut last = [0_i32; MAX_ORDER];
    for (at, sample) in samples.iter().enumerate() {
        let mut difference = *sample;
        for order in 0..=MAX_ORDER {
            // The first ones are no part of what a predictor of a higher order leaves.
            if at >= MAX_ORDER {
                sums[order] += u64::from(difference.unsigned_abs());
            }
            if order < MAX_ORDER {
                let before = std::mem::replace(&mut last[order], difference);
                difference -= before;
            }
        }
    }
    if samples.len() <= MAX_ORDER {
        return 0;
    }
    (0..=MAX_ORDER)
        .min_by_key(|order| sums[*order])
        .unwrap_or(0)
}

impl Plan {
    /// The pieces of what is left: the first one is shorter by what the predictor begins with.
    fn partitions(&self, samples: usize) -> impl Iterator<Item = &[u32]> {
        let length = samples >> self.partition_order;
        let (first, rest) = self.folded.split_at(length - self.order);
        std::iter::once(first).chain(rest.chunks(length))
    }

    fn choose(&mut self, samples: usize) {
        let (mut parameters, mut bits) = (Vec::new(), self.bits);
        for partition in self.partitions(samples) {
            let sum: u64 = partition.iter().map(|n| u64::from(*n)).sum();
            // The quotients are few if the parameter is near the logarithm of the mean.
            let mean = sum / partition.len().max(1) as u64;
            let parameter = mean.checked_ilog2().unwrap_or(0).min(MAX_PARAMETER);
            let quotients: u64 = partition.iter().map(|n| u64::from(n >> parameter)).sum();
            bits += 4 + quotients + partition.len() as u64 * u64::from(parameter + 1);
            parameters.push(parameter);
        }
        (self.parameters, self.bits) = (parameters, bits);
    }

    /// Writes all that comes behind the first samples.
    pub(super) fn write(&self, w: &mut BitWriter) {
        // Parameters of four bits.
        w.put(0, 2);
        w.put(self.partition_order, 4);
        let samples = self.folded.len() + self.order;
        for (partition, parameter) in self.partitions(samples).zip(&self.parameters) {
            w.put(*parameter, 4);
            for n in partition {
                w.unary(n >> parameter);
                w.put(*n, *parameter);
            }
        }
    }
}
