//! Loops over pixels that stay fast in a component.
//!
//! The host interrupts components by a check on every loop's back edge. A tight loop over bytes
//! pays for it with half of its speed; these do 128 bytes a turn, which the compiler turns into
//! SIMD without a branch inside.

const TURN: usize = 128;

/// Sum of absolute differences of two slices; the shorter one's length counts.
pub fn difference(a: &[u8], b: &[u8]) -> u64 {
    let (a_turns, a_rest) = a.as_chunks::<TURN>();
    let (b_turns, b_rest) = b.as_chunks::<TURN>();
    let turn = |(a, b): (&[u8; TURN], &[u8; TURN])| -> u64 {
        let mut sum = 0_u32;
        for i in 0..TURN {
            sum += u32::from(a[i].abs_diff(b[i]));
        }
        u64::from(sum)
    };
    let rest = a_rest
        .iter()
        .zip(b_rest)
        .map(|(a, b)| u64::from(a.abs_diff(*b)));
    a_turns.iter().zip(b_turns).map(turn).sum::<u64>() + rest.sum::<u64>()
}

/// Moves `background` towards `now` by one `1 << shift`-th of the difference, and writes where the
/// two differ by more than `threshold` as 1 to `mask`. The background is kept in 8.8 fixed point.
/// All three have the same length. Returns how many differ.
pub fn foreground(
    now: &[u8],
    background: &mut [u16],
    mask: &mut [u8],
    threshold: u8,
    shift: u32,
) -> u32 {
    let mut count = 0_u32;
    let mut turn = |now: &[u8], background: &mut [u16], mask: &mut [u8]| {
        let mut sum = 0_u32;
        for ((now, background), mask) in now.iter().zip(background).zip(mask) {
            let known = (*background >> 8) as u8;
            let differs = u8::from(now.abs_diff(known) > threshold);
            *mask = differs;
            sum += u32::from(differs);
            let step = (i32::from(*now) * 256 - i32::from(*background)) >> shift;
            *background = (i32::from(*background) + step) as u16;
        }
        count += sum;
    };
    let whole = now.len().min(background.len()).min(mask.len());
    let turns = whole / TURN * TURN;
    let now_turns = now[..turns].as_chunks::<TURN>().0;
    let background_turns = background[..turns].as_chunks_mut::<TURN>().0;
    let mask_turns = mask[..turns].as_chunks_mut::<TURN>().0;
    for ((now, background), mask) in now_turns.iter().zip(background_turns).zip(mask_turns) {
        turn(now, background, mask);
    }
    turn(
        &now[turns..whole],
        &mut background[turns..whole],
        &mut mask[turns..whole],
    );
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_of_any_length() {
        for length in [0, 1, 127, 128, 129, 1000] {
            let (a, b) = (vec![10; length], vec![13; length]);
            assert_eq!(difference(&a, &b), 3 * length as u64);
        }
    }

    #[test]
    fn the_background_follows() {
        let mut background = vec![100 << 8; 200];
        let mut mask = vec![0; 200];
        let mut now = vec![100; 200];
        now[150] = 200;
        assert_eq!(foreground(&now, &mut background, &mut mask, 20, 4), 1);
        assert_eq!((mask[150], mask[149]), (1, 0));
        for _ in 0..100 {
            foreground(&now, &mut background, &mut mask, 20, 4);
        }
        assert_eq!(mask[150], 0);
    }
}
