//! Which endpoints a collection has (E7): bulk requests, single ones, or none at all. What answers with a page instead of the API's
//! own words may be something in front of the server that is being changed: that is believed only when the server itself was
//! there all the time.

use std::time::Duration;

use super::inquest::Refusals;
use super::limiter::LONGEST_PAUSE;
use super::Time;

/// So many pages, while the server's version could be read, are an answer.
const PAGES: u32 = 3;
/// Single requests without an endpoint make sure that the collection is not there, if they span so long: an API gateway that is being
/// set up, or a release that is being replaced, says so for a moment.
const SINGLES_OVER: Duration = Duration::from_secs(3);
/// Between two of them.
pub(super) const BETWEEN_SINGLES: Duration = Duration::from_secs(2);
/// How soon bulk requests are tried again where they were not there.
const AGAIN: Duration = Duration::from_secs(60);
/// How soon a collection is asked for again that was not there: what comes until then is lost unsent.
const MISSING_FOR: Duration = LONGEST_PAUSE;

/// What is known of one collection's endpoints.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// A bulk request has been answered.
    proven: bool,
    /// A request of either kind has been.
    exists: bool,
    /// No release of the server takes its records in bulk.
    always_singly: bool,
    /// Single requests, until bulk ones are asked for again.
    singly_until: Option<Time>,
    /// The server has no such collection, until it is asked for again.
    missing_until: Option<Time>,
    pages: u32,
    first_page: Time,
    /// The first single request that was answered so in the API's own words.
    first_single: Option<Time>,
    pub refusals: Refusals,
}

/// What it means that an endpoint is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// Nothing yet: it is a fault that may pass.
    Passing,
    /// Its records go one by one.
    Singly,
    /// There is no such collection.
    Missing,
}

impl Route {
    /// Records of this collection never go in bulk.
    pub fn go_singly(&mut self) {
        self.always_singly = true;
    }

    pub fn is_bulk(&self, now: Time) -> bool {
        !self.always_singly && self.singly_until.is_none_or(|until| until <= now)
    }

    /// Why nothing is sent to it now, if so.
    pub fn is_missing(&self, now: Time) -> bool {
        self.missing_until.is_some_and(|until| now < until)
    }

    /// Whether there may be no such collection: until one of its single requests is answered they go one at a time.
    pub fn is_in_doubt(&self) -> bool {
        !self.exists && (self.singly_until.is_some() || self.first_single.is_some())
    }

    /// A request was answered in the API's own way.
    pub fn answered(&mut self, in_bulk: bool) {
        self.proven |= in_bulk;
        self.exists = true;
        if in_bulk {
            self.singly_until = None;
        }
        self.missing_until = None;
        self.pages = 0;
        self.first_single = None;
    }

    /// An endpoint was not there; `version_read`: when the server's version was read last.
    pub fn not_there(&mut self, in_bulk: bool, page: bool, version_read: Option<Time>, now: Time) -> NoRoute {
        let is_known = if in_bulk { self.proven } else { self.exists };
        if is_known {
            return NoRoute::Passing;
        }
        if page {
            if self.pages == 0 {
                self.first_page = now;
            }
            self.pages += 1;
            if self.pages < PAGES || version_read.is_none_or(|read| read < self.first_page) {
                return NoRoute::Passing;
            }
        }
        self.pages = 0;
        if in_bulk {
            self.singly_until = Some(now + AGAIN);
            return NoRoute::Singly;
        }
        if !page && now < *self.first_single.get_or_insert(now) + SINGLES_OVER {
            return NoRoute::Passing;
        }
        self.first_single = None;
        self.missing_until = Some(now + MISSING_FOR);
        self.singly_until = None;
        NoRoute::Missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn the_apis_own_word_sends_records_singly_at_once_and_loses_them_only_after_a_while() {
        let mut route = Route::default();
        assert_eq!(route.not_there(true, false, None, s(0)), NoRoute::Singly);
        assert!(!route.is_bulk(s(59)) && route.is_bulk(s(60)), "asked again each minute");
        for second in 1..4 {
            assert_eq!(route.not_there(false, false, None, s(second)), NoRoute::Passing);
            assert!(route.is_in_doubt());
        }
        assert_eq!(route.not_there(false, false, None, s(4)), NoRoute::Missing);
        assert!(route.is_missing(s(8)) && !route.is_missing(s(9)));
        assert!(route.is_bulk(s(9)), "asked for again from the start");
    }

    #[test]
    fn a_page_is_believed_when_the_server_was_there_all_the_time() {
        let mut route = Route::default();
        for second in 0..9 {
            assert_eq!(route.not_there(true, true, None, s(second)), NoRoute::Passing);
        }
        assert_eq!(route.not_there(true, true, Some(s(9)), s(10)), NoRoute::Singly);
        assert!(!route.is_bulk(s(69)) && route.is_bulk(s(70)), "asked again each minute");
        route.answered(true);
        assert!(route.is_bulk(s(71)));
    }

    #[test]
    fn a_route_that_worked_before_is_not_gone_for_good() {
        let mut route = Route::default();
        route.answered(true);
        assert_eq!(route.not_there(true, false, Some(s(1)), s(2)), NoRoute::Passing);
    }

    #[test]
    fn a_collection_of_which_something_was_written_is_not_missing() {
        let mut route = Route::default();
        assert_eq!(route.not_there(true, false, None, s(0)), NoRoute::Singly);
        route.answered(false);
        for second in 1..9 {
            for page in [false, true] {
                assert_eq!(
                    route.not_there(false, page, Some(s(second)), s(second)),
                    NoRoute::Passing
                );
            }
        }
    }
}
