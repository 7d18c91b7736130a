//! How long work takes: a time for each request and each row by class, places for work at once, and the speed of the link.
//!
//! All waiting is asynchronous; no time is spent computing.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Profile;
use crate::link::Lines;
use crate::route::Class;
use crate::waits::Waiter;

/// The time of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// For the request.
    pub request_ms: f64,
    /// For each row of it.
    pub row_ms: f64,
}

/// The link between client and server; all connections share it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Bytes a second, in each direction; 0 for no limit.
    #[serde(default)]
    pub bytes_per_s: f64,
    /// From one end to the other and back. A connection needs one before its first request, with TLS two.
    #[serde(default)]
    pub round_trip_ms: f64,
}

/// The model. A class without a rate has that of `other`, except `bulk`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// `PUT .../bulk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk: Option<Rate>,
    /// PUT or POST of one entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<Rate>,
    /// PATCH of nothing but the life cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub life_cycle: Option<Rate>,
    /// Other PATCHes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Rate>,
    /// GET of one entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<Rate>,
    /// GET of a collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<Rate>,
    /// DELETE of one entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<Rate>,
    /// `deleteStale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<Rate>,
    /// Lineage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Rate>,
    /// Everything that has no rate of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Rate>,
    /// At most so many rows are in work at once. In 1.11 10 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_at_once: Option<usize>,
    /// At most so many requests are in work at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_at_once: Option<usize>,
    /// In 1.11, how long a row waits for its place before it ends with row status 503; 30,000 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place_timeout_ms: Option<f64>,
    /// The link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

impl Latency {
    /// The rate of a class.
    pub fn rate(&self, class: Class) -> Rate {
        let own = match class {
            Class::Bulk => return self.bulk.unwrap_or_default(),
            Class::Single => self.single,
            Class::LifeCycle => self.life_cycle,
            Class::Patch => self.patch,
            Class::Get => self.get,
            Class::List => self.list,
            Class::Delete => self.delete,
            Class::Stale => self.stale,
            Class::Lineage => self.lineage,
            Class::Other => self.other,
        };
        own.or(self.other).unwrap_or_default()
    }

    /// Reads the JSON form; the error says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let latency: Latency =
            serde_json::from_str(text).map_err(|error| format!("the latency model is not readable: {error}"))?;
        latency.check()?;
        Ok(latency)
    }

    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), String> {
        for (name, places) in [
            ("rows_at_once", self.rows_at_once),
            ("requests_at_once", self.requests_at_once),
        ] {
            if places == Some(0) {
                return Err(format!("{name} must be at least 1"));
            }
        }
        let all = [
            self.bulk,
            self.single,
            self.life_cycle,
            self.patch,
            self.get,
            self.list,
            self.delete,
            self.stale,
            self.lineage,
            self.other,
        ];
        let fine = |ms: f64| ms.is_finite() && ms >= 0.0;
        if all
            .into_iter()
            .flatten()
            .any(|rate| !fine(rate.request_ms) || !fine(rate.row_ms))
        {
            return Err("times must be numbers of milliseconds, 0 or more".into());
        }
        Ok(())
    }
}

/// A number of milliseconds as a duration.
pub fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::ZERO)
}

/// The model in force, with its places.
#[derive(Clone)]
pub struct Clockwork {
    /// The model.
    pub latency: Arc<Latency>,
    /// The link in use.
    pub lines: Option<Arc<Lines>>,
    rows: Option<Arc<Semaphore>>,
    requests: Option<Arc<Semaphore>>,
    parallel_rows: Arc<Semaphore>,
}

/// What a request holds while it is in work.
pub struct Passed {
    /// Rows that found no place in time (1.11).
    pub without_place: Vec<usize>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Clockwork {
    /// Sets a model up.
    pub fn new(latency: Latency) -> Self {
        let places = |number: Option<usize>| number.map(|number| Arc::new(Semaphore::new(number)));
        Clockwork {
            rows: places(latency.rows_at_once),
            requests: places(latency.requests_at_once),
            parallel_rows: Arc::new(Semaphore::new(latency.rows_at_once.unwrap_or(10))),
            lines: latency.link.map(|link| Arc::new(Lines::new(link))),
            latency: Arc::new(latency),
        }
    }

    /// Waits as long as the work takes.
    pub async fn pass(&self, class: Class, rows: usize, profile: Profile, waiter: &Waiter) -> Passed {
        let rate = self.latency.rate(class);
        let place = match &self.requests {
            Some(places) => places.clone().acquire_owned().await.ok(),
            None => None,
        };
        let mut now = Instant::now() + millis(rate.request_ms);
        if rate.request_ms > 0.0 {
            waiter.until(now).await;
        }
        let mut without_place = Vec::new();
        if rows > 0 && class == Class::Bulk && profile == Profile::V1_11 && rate.row_ms > 0.0 {
            without_place = self.pass_rows_in_parallel(rows, rate.row_ms, waiter).await;
        } else if let Some(places) = self.rows.as_ref().filter(|_| rate.row_ms > 0.0) {
            for _ in 0..rows {
                let begun = Instant::now();
                let permit = places.clone().acquire_owned().await;
                // Only real waiting moves the schedule; a timer's delay does not add up.
                if begun.elapsed() > Duration::from_millis(1) {
                    now = Instant::now();
                }
                now += millis(rate.row_ms);
                waiter.until(now).await;
                drop(permit);
            }
        } else if rate.row_ms > 0.0 && rows > 0 {
            #[allow(clippy::cast_precision_loss)]
            let all = millis(rate.row_ms * rows as f64);
            waiter.until(now + all).await;
        }
        Passed {
            without_place,
            _place: place,
        }
    }

    async fn pass_rows_in_parallel(&self, rows: usize, row_ms: f64, waiter: &Waiter) -> Vec<usize> {
        let timeout = millis(self.latency.place_timeout_ms.unwrap_or(30_000.0));
        let mut tasks = JoinSet::new();
        for row in 0..rows {
            let (places, waiter) = (self.parallel_rows.clone(), waiter.clone());
            tasks.spawn(async move {
                match tokio::time::timeout(timeout, places.acquire_owned()).await {
                    Ok(permit) => {
                        waiter.until(Instant::now() + millis(row_ms)).await;
                        drop(permit);
                        None
                    }
                    Err(_) => Some(row),
                }
            });
        }
        let mut late: Vec<usize> = tasks.join_all().await.into_iter().flatten().collect();
        late.sort_unstable();
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waits::Waits;

    #[test]
    fn classes_without_a_rate_have_that_of_other_except_bulk() {
        let latency = Latency::parse(r#"{"other": {"request_ms": 10}, "get": {"request_ms": 39}}"#).unwrap_or_default();
        assert_eq!(latency.rate(Class::Get).request_ms, 39.0);
        assert_eq!(latency.rate(Class::Single).request_ms, 10.0);
        assert_eq!(latency.rate(Class::Bulk).request_ms, 0.0);
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        assert!(Latency::parse(r#"{"bulc": {}}"#).is_err_and(|text| text.contains("bulc")));
        assert!(Latency::parse(r#"{"rows_at_once": 0}"#).is_err_and(|text| text.contains("rows_at_once")));
        assert!(Latency::parse(r#"{"bulk": {"row_ms": -1}}"#).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_its_time_and_that_of_its_rows() {
        let clockwork =
            Clockwork::new(Latency::parse(r#"{"bulk": {"request_ms": 105, "row_ms": 26}}"#).unwrap_or_default());
        let begun = Instant::now();
        clockwork
            .pass(Class::Bulk, 100, Profile::V2_0, &Waits::default().of_a_request())
            .await;
        let took = begun.elapsed().as_millis();
        assert!((2705..2710).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn rows_share_their_places() {
        let latency = r#"{"bulk": {"row_ms": 10}, "rows_at_once": 2}"#;
        let clockwork = Clockwork::new(Latency::parse(latency).unwrap_or_default());
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let clockwork = clockwork.clone();
            let waiter = Waits::default().of_a_request();
            tasks.spawn(async move { clockwork.pass(Class::Bulk, 10, Profile::V2_0, &waiter).await });
        }
        tasks.join_all().await;
        let took = begun.elapsed().as_millis();
        assert!((195..=210).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn rows_of_1_11_run_side_by_side_ten_at_once() {
        let clockwork = Clockwork::new(Latency::parse(r#"{"bulk": {"row_ms": 50}}"#).unwrap_or_default());
        let begun = Instant::now();
        clockwork
            .pass(Class::Bulk, 20, Profile::V1_11, &Waits::default().of_a_request())
            .await;
        let took = begun.elapsed().as_millis();
        assert!((100..105).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_of_1_11_without_a_place_is_given_up() {
        let latency = r#"{"bulk": {"row_ms": 100}, "rows_at_once": 1, "place_timeout_ms": 250}"#;
        let clockwork = Clockwork::new(Latency::parse(latency).unwrap_or_default());
        let passed = clockwork
            .pass(Class::Bulk, 5, Profile::V1_11, &Waits::default().of_a_request())
            .await;
        assert_eq!(passed.without_place.len(), 2);
    }
}
