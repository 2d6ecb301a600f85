//! What one camera may take of the processor, with all its profiles: whatever it sends, it pays for
//! it by being read more slowly, and no other camera does.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use taimat_base::tasks::Stop;
use taimat_base::{clock, cpu};
use tokio::time::timeout;

/// A camera may take one part in so many of a core. One of 4 Mbit/s takes a tenth of that.
const PART: u32 = 16;
/// What it may have saved up: a sign-in by TLS, a key picture of megabytes.
const SAVED: Duration = Duration::from_millis(200);
/// The least that a picture counts: viewers and detectors have work with each, however small it is.
/// 156 pictures a second use up the share.
const PICTURE: Duration = Duration::from_micros(400);

/// An account of CPU time.
#[derive(Debug)]
struct Share {
    /// What may be used before the camera has to wait.
    credit: Duration,
    /// What it has used without having it.
    debt: Duration,
    counted: Instant,
}

impl Share {
    fn new(now: Instant) -> Self {
        Self {
            credit: SAVED,
            debt: Duration::ZERO,
            counted: now,
        }
    }

    /// Takes down what was used, for so many pictures. Says how long to wait, if it was too much.
    fn spend(&mut self, used: Duration, pictures: u64, now: Instant) -> Option<Duration> {
        let earned = now.saturating_duration_since(self.counted) / PART;
        self.counted = now;
        let paid = earned.min(self.debt);
        self.debt -= paid;
        self.credit = (self.credit + earned - paid).min(SAVED);
        let pictures = u32::try_from(pictures).unwrap_or(u32::MAX);
        let due = used.max(PICTURE.saturating_mul(pictures));
        self.debt += due.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(due);
        (!self.debt.is_zero()).then(|| self.debt.saturating_mul(PART))
    }
}

/// The account of a camera, which its profiles have in common.
#[derive(Debug, Clone)]
pub(crate) struct CameraShare(Arc<Mutex<Share>>);

impl CameraShare {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Share::new(now))))
    }

    fn spend(&self, used: Duration, pictures: u64, now: Instant) -> Option<Duration> {
        let mut share = self.0.lock().unwrap_or_else(|e| e.into_inner());
        share.spend(used, pictures, now)
    }
}

/// Who keeps the books of a source.
pub(crate) trait Books {
    /// Pictures that the source has sent until now.
    fn pictures(&self) -> u64;
    /// It used so much CPU time.
    fn used(&self, cpu: Duration);
    /// It used more than its share and waits so long.
    fn waits(&self, wait: Duration);
}

/// A source's work, which stands still while its camera's share is used up: bytes that are not read stay in
/// the camera, datagrams that are not read are lost. It does not stand still once `stop` fires, so that
/// the camera is told.
///
/// What the work does between two of its awaits it does at once: it has to yield now and then.
pub(crate) struct OnShare<'a, F, B> {
    work: Pin<Box<F>>,
    share: &'a CameraShare,
    books: B,
    stop: &'a Stop,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'a, F, B> OnShare<'a, F, B> {
    pub(crate) fn new(share: &'a CameraShare, books: B, stop: &'a Stop, work: F) -> Self {
        Self {
            work: Box::pin(work),
            share,
            books,
            stop,
            wait: None,
        }
    }
}

impl<F: Future, B: Books + Unpin> Future for OnShare<'_, F, B> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if let Some(wait) = &mut this.wait {
            ready!(wait.as_mut().poll(cx));
            this.wait = None;
        }
        let (begun, before) = (cpu::of_thread(), this.books.pictures());
        let polled = this.work.as_mut().poll(cx);
        let used = cpu::of_thread().saturating_sub(begun);
        this.books.used(used);
        let pictures = this.books.pictures() - before;
        let wait = this.share.spend(used, pictures, clock::now());
        if let (Poll::Pending, Some(wait), false) = (&polled, wait, this.stop.is_cancelled()) {
            this.books.waits(wait);
            let stopped = this.stop.clone().cancelled_owned();
            // Whichever comes first.
            let mut wait = Box::pin(async move { drop(timeout(wait, stopped).await) });
            // It is asked at once, so that it wakes us.
            if wait.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            } else {
                this.wait = Some(wait);
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_stays_within_its_share_never_waits() {
        let mut now = clock::now();
        let mut share = Share::new(now);
        for _ in 0..6_000 {
            now += SECOND / 60;
            assert_eq!(share.spend(Duration::from_millis(1), 1, now), None);
        }
    }

    #[test]
    fn what_was_saved_is_for_one_burst() {
        let now = clock::now();
        let mut share = Share::new(now);
        assert_eq!(share.spend(SAVED, 0, now), None);
        let wait = share.spend(Duration::from_millis(10), 0, now);
        assert_eq!(wait, Some(Duration::from_millis(160)));
        let later = now + Duration::from_millis(160);
        assert_eq!(share.spend(Duration::ZERO, 0, later), None);
        // An hour of rest saves no more than that.
        let later = later + SECOND * 3600;
        assert_eq!(share.spend(SAVED, 0, later), None);
        assert!(share.spend(Duration::from_millis(1), 0, later).is_some());
    }

    #[test]
    fn tiny_pictures_count_as_pictures() {
        let mut now = clock::now();
        let mut share = Share::new(now);
        let (mut pictures, begun) = (0_u32, now);
        while now < begun + SECOND * 60 {
            pictures += 1;
            let wait = share.spend(Duration::from_nanos(100), 1, now);
            now += wait.unwrap_or_default() + Duration::from_micros(1);
        }
        assert!((60 * 150..60 * 165).contains(&pictures), "{pictures}");
    }

    #[derive(Default)]
    struct Counted {
        used: Cell<Duration>,
        waits: Cell<u32>,
    }

    impl Books for &Counted {
        fn pictures(&self) -> u64 {
            0
        }

        fn used(&self, cpu: Duration) {
            self.used.set(self.used.get() + cpu);
        }

        fn waits(&self, _wait: Duration) {
            self.waits.set(self.waits.get() + 1);
        }
    }

    fn work(cpu: Duration) {
        let begun = cpu::of_thread();
        let mut value = 1_u64;
        while cpu::of_thread() - begun < cpu {
            value = std::hint::black_box(value.wrapping_mul(3));
        }
    }

    /// Uses 6 ms of the processor so many times.
    async fn works(times: u32) {
        for _ in 0..times {
            work(Duration::from_millis(6));
            tokio::task::yield_now().await;
        }
    }

    // Only waiting moves the clock: on a busy machine time would be earned meanwhile.
    #[tokio::test(start_paused = true)]
    async fn who_works_without_end_is_held_to_its_share() {
        let (counted, share) = (Counted::default(), CameraShare::new(clock::now()));
        let begun = clock::now();
        OnShare::new(&share, &counted, &Stop::new(), works(50)).await;
        let (used, took) = (counted.used.get(), clock::now() - begun);
        assert!(used >= Duration::from_millis(300), "{used:?}");
        assert!(counted.waits.get() > 0);
        // What it used beyond what it had saved, it earned.
        let last = Duration::from_millis(10);
        assert!(took >= (used - SAVED - last) * PART, "{used:?} in {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn two_profiles_of_a_camera_have_one_share() {
        let (main, sub) = (Counted::default(), Counted::default());
        let share = CameraShare::new(clock::now());
        let (other, stop) = (share.clone(), Stop::new());
        let begun = clock::now();
        tokio::join!(
            OnShare::new(&share, &main, &stop, works(25)),
            OnShare::new(&other, &sub, &stop, works(25)),
        );
        let (used, took) = (main.used.get() + sub.used.get(), clock::now() - begun);
        assert!(main.waits.get() > 0 && sub.waits.get() > 0);
        let last = Duration::from_millis(20);
        assert!(took >= (used - SAVED - last) * PART, "{used:?} in {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_to_stop_does_not_wait_for_its_share() {
        let (counted, share) = (Counted::default(), CameraShare::new(clock::now()));
        // Ten minutes of the processor are owed: the wait is hours.
        share.spend(SECOND * 600, 0, clock::now());
        let (stop, begun) = (Stop::new(), clock::now());
        let source = async {
            tokio::task::yield_now().await;
            stop.cancelled().await;
            // The goodbye.
            tokio::time::sleep(SECOND / 2).await;
        };
        let stopping = async {
            tokio::time::sleep(SECOND).await;
            stop.cancel();
        };
        tokio::join!(OnShare::new(&share, &counted, &stop, source), stopping);
        assert_eq!(counted.waits.get(), 1);
        assert_eq!(clock::now() - begun, SECOND * 3 / 2);
    }
}
