//! The one poll loop, and the only place that sleeps. SDK waiters are not used: theirs poll every 15 seconds at least.

use std::time::Duration;

use tokio::time::Instant;

/// How a thing is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Before the second look; later looks come slower.
    pub first: Duration,
    /// The slowest.
    pub slowest: Duration,
    /// How long at all.
    pub limit: Duration,
}

impl Pace {
    /// The same, but not beyond what a deadline leaves.
    #[must_use]
    pub fn within(self, left: Option<Duration>) -> Self {
        Self { limit: left.map_or(self.limit, |left| left.min(self.limit)), ..self }
    }
}

/// For what AWS has just made, or says that it exists: reads are eventually consistent, by seconds.
pub const VISIBLE_SOON: Pace =
    Pace { first: Duration::from_millis(300), slowest: Duration::from_secs(2), limit: Duration::from_secs(30) };

/// The same for what nothing goes wrong without: whoever waits for it gives up only when it must be gone.
pub const VISIBLE_LATE: Pace = Pace { limit: Duration::from_mins(2), ..VISIBLE_SOON };

/// So long reads may at first show something else than this run has written before another run is taken for the reason.
pub const SETTLED: Duration = Duration::from_secs(10);

/// So late reads show a new instance, as a rule.
pub const SHOWN: Duration = Duration::from_secs(5);

/// For an instance that a run which is gone may have launched a moment ago: until a look has begun after [`SHOWN`], however long
/// looks take.
pub const UNSEEN: Pace =
    Pace { first: Duration::from_secs(1), slowest: Duration::from_secs(1), limit: Duration::from_mins(2) };

/// For what AWS lets go of once the instances that used it are gone: their network interfaces outlive them by seconds.
pub const RELEASED_SOON: Pace =
    Pace { first: Duration::from_millis(500), slowest: Duration::from_secs(3), limit: Duration::from_mins(2) };

/// For a definite answer to a launch: a new instance profile has taken over two minutes to reach EC2.
pub const LAUNCH: Pace =
    Pace { first: Duration::from_millis(500), slowest: Duration::from_secs(5), limit: Duration::from_mins(5) };

/// For an instance's state; the limit is the caller's.
pub const STATE: Pace =
    Pace { first: Duration::from_millis(700), slowest: Duration::from_secs(5), limit: Duration::from_mins(5) };

/// For a quota increase, which takes minutes or a day; slowest and limit are the caller's.
pub const INCREASE: Pace =
    Pace { first: Duration::from_secs(15), slowest: Duration::from_mins(1), limit: Duration::from_hours(48) };

/// For a command of the user's own that is run at the end; it may be another `spotctl up`.
pub const COMMAND: Pace =
    Pace { first: Duration::from_millis(20), slowest: Duration::from_secs(1), limit: Duration::from_hours(2) };

/// What one look came to.
#[derive(Debug)]
pub enum Look<T> {
    /// There it is.
    Done(T),
    /// Not yet.
    Again,
}

/// The time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

/// Looks until `look` is done, fails or the time is over. The first look comes at once.
///
/// # Errors
/// The look's own error, or `Ok(Err(TimedOut))` when the time ran out.
pub async fn poll<T, E>(pace: Pace, look: impl AsyncFnMut() -> Result<Look<T>, E>) -> Result<Result<T, TimedOut>, E> {
    run(pace, |pause| pause, look).await
}

/// The same for a call that changes something and is made again: with full jitter, so that those who were throttled
/// together do not come back together.
///
/// # Errors
/// The look's own error, or `Ok(Err(TimedOut))` when the time ran out.
pub async fn again<T, E>(pace: Pace, look: impl AsyncFnMut() -> Result<Look<T>, E>) -> Result<Result<T, TimedOut>, E> {
    run(pace, super::retry::jittered, look).await
}

async fn run<T, E>(
    pace: Pace,
    drawn: impl Fn(Duration) -> Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>, E>,
) -> Result<Result<T, TimedOut>, E> {
    let end = Instant::now() + pace.limit;
    let mut pause = pace.first;
    loop {
        if let Look::Done(done) = look().await? {
            return Ok(Ok(done));
        }
        let now = drawn(pause);
        if Instant::now() + now > end {
            return Ok(Err(TimedOut));
        }
        sleep(now).await;
        pause = pause.mul_f32(1.5).min(pace.slowest);
    }
}

/// Until AWS has answered what is under way when a signal comes.
pub const ANSWERED: Pace =
    Pace { first: Duration::from_millis(20), slowest: Duration::from_millis(100), limit: Duration::from_secs(3) };

/// How long what is only nice to know may keep a command: prices and quotas, where their endpoints do not answer.
const COURTESY: Duration = Duration::from_secs(8);

/// The answer, unless it is not there in time: for reads that nothing depends on.
pub async fn courtesy<T>(read: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(COURTESY, read).await.ok()
}

#[expect(clippy::disallowed_methods, reason = "this is the module that sleeps")]
async fn sleep(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace =
        Pace { first: Duration::from_secs(1), slowest: Duration::from_secs(3), limit: Duration::from_secs(10) };

    #[tokio::test(start_paused = true)]
    async fn it_looks_at_once_then_slower_and_stops_in_time() {
        let began = Instant::now();
        let mut looks = Vec::new();
        let answer: Result<Result<(), TimedOut>, ()> = poll(PACE, async || {
            looks.push(began.elapsed().as_millis());
            Ok(Look::Again)
        })
        .await;
        assert_eq!(answer, Ok(Err(TimedOut)));
        assert_eq!(looks, [0, 1000, 2500, 4750, 7750]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_only_nice_to_know_does_not_keep_a_command() {
        let began = Instant::now();
        assert_eq!(courtesy(std::future::pending::<()>()).await, None);
        assert_eq!(began.elapsed(), COURTESY);
        assert_eq!(courtesy(async { 1 }).await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_while_looking_is_never_taken_for_success() {
        let answer = poll::<(), _>(PACE, async || Err("lost")).await;
        assert_eq!(answer, Err("lost"));
    }
}
