//! How much the engine may ask of a server, and how late it may be: checks of a whole run against what went over the wire.
//!
//! | rule | |
//! |---|---|
//! | storm | at most 40 + T requests in T s of outage |
//! | attempts | at most 2 log2(rows) + 20 + deadline / 2.5 s attempts a record; a refusal is taken at its word |
//! | deadline | past it, one last attempt of a record that had one, none of one that had two, unless others were served meanwhile; what was in company is taken apart, log2(rows) + 1 times at most; one that ends with its connection, or is asked for less, does not count, four times at most |
//! | fragments | at most 2 rows / batch + 2 N requests for what an outage split |
//! | poison | a row that breaks whatever request holds it ends in tens of seconds |
//! | routes | single requests only where the bulk route was refused by the API, or thrice by a page; a collection that is not there costs a handful of requests |
//! | look-up | what the server has, and would have said so, is not lost |

use std::collections::BTreeSet;
use std::time::Duration;

use openmetadata_bulksink::engine::{Ending, Kind, Sequence};
use rustc_hash::FxHashMap;

use crate::almanac::Almanac;
use crate::books::{Account, Checked};
use crate::stream::{Poison, Temper};
use crate::weather::{Trouble, Whom};
use crate::wire::{Passage, What};

/// A row that breaks requests ends within this, where nothing else goes wrong.
const POISON_ENDS: Duration = Duration::from_secs(90);
/// Collections that have no bulk endpoint in any version.
const NO_BULK: [&str; 2] = ["classifications", "tags"];
/// So many of a record's last attempts may end with their connections, or with the server asking for less, before it is lost.
const NOT_COUNTED: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

pub struct Pace<'a>(pub &'a Almanac<'a>);

impl Pace<'_> {
    pub fn check(&self) -> Checked {
        self.storms()?;
        self.attempts()?;
        self.fragments()?;
        self.routes()?;
        self.look_ups()
    }

    fn passages(&self) -> &[Passage] {
        &self.0.books.wire.passages
    }

    fn storms(&self) -> Checked {
        let weather = &self.0.setup.weather;
        // A route that is not there is no outage.
        let outages = weather.outages.iter().filter(|outage| {
            outage.whom == Whom::All && !matches!(outage.trouble, Trouble::Status(404) | Trouble::Page(404))
        });
        let outages = outages.map(|outage| (outage.from, outage.to));
        let end = self.passages().last().map_or(Duration::ZERO, |last| last.begun);
        for (from, to) in outages.chain(self.0.token_troubles()) {
            let lasts = to.min(end).saturating_sub(from);
            let within = |passage: &&Passage| passage.begun >= from && passage.begun < to;
            let count = self.passages().iter().filter(within).count();
            if count as u64 > 40 + lasts.as_secs() {
                return Err(format!(
                    "storm: {count} requests in {lasts:?} of outage, from {from:?} on"
                ));
            }
        }
        Ok(())
    }

    fn attempts(&self) -> Checked {
        let setup = self.0.setup;
        let rows = setup.config.batch_rows.max(1) as f64;
        let most = 2.0 * rows.log2() + 20.0 + setup.config.delivery_timeout.as_secs_f64() / 2.5;
        for (account, sequence) in self.0.books.accounts.iter().zip(1..) {
            let who = || self.0.books.describe(sequence, &setup.stream);
            let attempts: Vec<&Passage> = self.0.books.wire.of(sequence).collect();
            if attempts.len() as f64 > most {
                return Err(format!("attempts: {} was sent {} times", who(), attempts.len()));
            }
            let temper = setup.stream.specs[account.spec].temper;
            let is_refused = matches!(temper, Temper::Refused | Temper::RefusedAlike | Temper::Named);
            if is_refused && account.missing.is_empty() && account.refusals > 3 {
                return Err(format!("attempts: {} was refused {} times", who(), account.refusals));
            }
            self.deadline(account, &attempts)
                .map_err(|text| format!("deadline: {} {text}", who()))?;
            self.poison(account, sequence)?;
        }
        Ok(())
    }

    fn deadline(&self, account: &Account, attempts: &[&Passage]) -> Checked {
        // While a record is parked, or held by an inquest, its clock stands.
        if account.parked_first.is_some() || self.whole_refusals(account) || account.kind == Kind::LifeCycle {
            return Ok(());
        }
        let Some(first) = attempts.first() else { return Ok(()) };
        let deadline = first.begun + self.0.setup.config.delivery_timeout + self.0.setup.lag * 2;
        let in_time = attempts.iter().filter(|passage| passage.begun <= deadline).count();
        let late = attempts.len() - in_time;
        // One more where nothing but one attempt was made, or others of the collection were served since the last one; since the first
        // one, where it was in company: then that is taken apart. One more, too, for each connection that ended under it alone, and
        // where the server asked for less.
        let together = attempts.iter().take(in_time).map(|passage| passage.rows).max();
        let tried = if together > Some(1) {
            Some(first.begun)
        } else {
            in_time.checked_sub(1).and_then(|last| attempts.get(last)?.ended)
        };
        let late_at = attempts.get(in_time).map(|passage| passage.begun);
        let went_before = |passage: &Passage| {
            let of_it = passage.collection == first.collection && passage.settled;
            of_it && passage.ended >= tried && passage.ended <= late_at
        };
        let may_be_late = in_time == 1 || self.passages().iter().any(went_before);
        let past_it = &attempts[in_time..];
        let late_alone = past_it.iter().filter(|passage| passage.rows == 1).count();
        let does_not_count = |passage: &&&Passage| {
            let is_cut = matches!(
                passage.trouble,
                Some(Trouble::NotSent | Trouble::Broken { .. } | Trouble::Refused)
            );
            passage.rows == 1 && (is_cut || passage.asked_for_less)
        };
        let more = past_it
            .iter()
            .rev()
            .skip(1)
            .filter(does_not_count)
            .count()
            .min(NOT_COUNTED);
        let most_rows = attempts.iter().map(|passage| passage.rows).max().unwrap_or(1);
        let parts = most_rows.ilog2() as usize + usize::from(most_rows > 1);
        let in_parts = late == 1 || (late_alone <= 1 + more && late - late_alone <= parts);
        let is_right = late == 0 || (may_be_late && in_parts);
        if !is_right {
            let at = attempts.last().map(|passage| passage.begun);
            return Err(format!(
                "was sent {late} times ({late_alone} alone) past its deadline ({deadline:?}), the last time at {at:?}, after {in_time} attempts"
            ));
        }
        Ok(())
    }

    /// Whether its collection has refused whole requests.
    fn whole_refusals(&self, account: &Account) -> bool {
        let stream = &self.0.setup.stream;
        let collection = &stream.entities[account.entity].collection;
        let refused = |other: &Account| {
            let temper = stream.specs[other.spec].temper;
            stream.entities[other.entity].collection == *collection && matches!(temper, Temper::Offensive)
        };
        let refuses = self.0.setup.profile.refuses_all.is_some();
        refuses || self.0.books.accounts.iter().any(refused)
    }

    fn is_calm(&self) -> bool {
        let (weather, profile) = (&self.0.setup.weather, &self.0.setup.profile);
        let calm = weather.rates.is_empty() && weather.by_number.is_empty() && weather.token_expires.is_empty();
        calm && profile.places.is_none() && profile.size_limit.is_none() && profile.no_gzip.is_none()
    }

    fn poison(&self, account: &Account, sequence: Sequence) -> Checked {
        let stream = &self.0.setup.stream;
        let breaks = |temper: Temper| match temper {
            Temper::Toxic => true,
            // What breaks in several ways, or only after a while, may take its deadline.
            Temper::Poison(poison) => !matches!(poison, Poison::Fickle | Poison::Hang),
            _ => false,
        };
        if !breaks(stream.specs[account.spec].temper) || !self.0.setup.weather.outages.is_empty() || !self.is_calm() {
            return Ok(());
        }
        let such = |other: &&Account| breaks(stream.specs[other.spec].temper);
        if self.0.books.accounts.iter().filter(such).count() > 1 {
            return Ok(());
        }
        let (Some(first), Some((ended, _))) = (self.0.books.wire.first_attempt(sequence), &account.ended) else {
            return Ok(());
        };
        if *ended > first + POISON_ENDS + self.0.longest_service() * 20 {
            return Err(format!(
                "poison: {} took {:?} from its first attempt to its end",
                self.0.books.describe(sequence, stream),
                *ended - first
            ));
        }
        Ok(())
    }

    fn fragments(&self) -> Checked {
        let setup = self.0.setup;
        let [outage] = &setup.weather.outages[..] else {
            return Ok(());
        };
        let accounts = &self.0.books.accounts;
        let all_good = accounts
            .iter()
            .all(|account| setup.stream.specs[account.spec].temper == Temper::Good);
        let all_taken = setup.profile.refuses_all.is_none() && setup.profile.absent.is_none();
        if !self.is_calm() || !all_good || !all_taken || outage.whom != Whom::All || setup.profile.cut_above.is_some() {
            return Ok(());
        }
        let mut split: FxHashMap<&str, (usize, BTreeSet<usize>)> = FxHashMap::default();
        let mut after = BTreeSet::new();
        let empty = Vec::new();
        for (account, sequence) in accounts.iter().zip(1..) {
            let attempts = self.0.books.wire.attempts.get(&sequence).unwrap_or(&empty);
            let struck = attempts.iter().any(|number| self.passages()[*number].trouble.is_some());
            // Single requests, and rows that are refused for what is not there, are no fragments.
            let bulk = attempts
                .iter()
                .all(|number| self.passages()[*number].what == What::Bulk);
            if !struck || !bulk || account.parked_first.is_some() {
                continue;
            }
            let of_collection = split
                .entry(&setup.stream.entities[account.entity].collection)
                .or_default();
            of_collection.0 += 1;
            of_collection.1.extend(attempts.first());
            let late = attempts
                .iter()
                .filter(|number| self.passages()[**number].begun >= outage.to);
            after.extend(late.copied());
        }
        let batches = split
            .values()
            .map(|(rows, first)| first.len().max(rows.div_ceil(setup.config.batch_rows.max(1))));
        let most = 2 * batches.sum::<usize>() + 2 * setup.config.workers.max(1);
        if after.len() > most {
            return Err(format!(
                "fragments: {} requests after the outage for what it struck, and {most} would do",
                after.len()
            ));
        }
        Ok(())
    }

    fn routes(&self) -> Checked {
        let profile = &self.0.setup.profile;
        let (mut refused, mut pages): (FxHashMap<&str, u32>, FxHashMap<&str, u32>) = Default::default();
        let mut absent: (u64, Duration) = (0, Duration::ZERO);
        for passage in self.passages() {
            let collection = &*passage.collection;
            if passage.what == What::Bulk && matches!(passage.status, Some(404 | 405)) {
                let is_page = matches!(passage.trouble, Some(Trouble::Page(_)));
                let met = if is_page { &mut pages } else { &mut refused };
                *met.entry(collection).or_default() += 1;
            }
            let is_create = matches!(passage.what, What::Bulk | What::One);
            if is_create && profile.absent == Some(collection) {
                if absent.0 == 0 {
                    absent.1 = passage.begun;
                }
                absent.0 += 1;
                let minutes = (passage.begun - absent.1).as_secs() / 60;
                if absent.0 > 20 + 3 * minutes {
                    return Err(format!(
                        "routes: {} requests to a collection that is not there",
                        absent.0
                    ));
                }
            }
            let has_bulk = !NO_BULK.contains(&collection) && !profile.no_bulk.contains(&collection);
            let count = |met: &FxHashMap<&str, u32>| met.get(collection).copied().unwrap_or(0);
            if passage.what == What::One && has_bulk && count(&refused) == 0 && count(&pages) < 3 {
                return Err(format!(
                    "routes: {collection} goes record by record at {:?}, after {} pages, and its bulk route is well",
                    passage.begun,
                    count(&pages)
                ));
            }
        }
        Ok(())
    }

    /// Only where reading was possible all the time: the engine need not look up after a read that failed.
    fn look_ups(&self) -> Checked {
        let setup = self.0.setup;
        let only_writes = |whom: Whom| matches!(whom, Whom::Writes | Whom::WritesTo(_));
        let reads = setup.weather.outages.iter().all(|outage| only_writes(outage.whom));
        if !reads || !self.is_calm() || setup.weather.outages.is_empty() || setup.profile.jitter > 1.0 {
            return Ok(());
        }
        for (account, sequence) in self.0.books.accounts.iter().zip(1..) {
            let Some((ended, Ending::Failed(reason))) = &account.ended else {
                continue;
            };
            let spec = &setup.stream.specs[account.spec];
            let hashed = spec.kind == Kind::Create && spec.body.windows(10).any(|part| part == b"sourceHash");
            let stored = self.0.server.stored[account.entity].spec == Some(account.spec);
            let by_itself = !reason.contains("close") && !reason.contains("abandoned");
            let at_once = |other: &&Account| {
                let with = other.ended.as_ref().map(|(at, _)| *at);
                with.is_some_and(|at| at + 10 * SECOND >= *ended && at <= *ended + 10 * SECOND)
            };
            let few = self.0.books.accounts.iter().filter(at_once).count() <= 20;
            if hashed && stored && by_itself && few && self.0.server.was_applied(sequence) {
                return Err(format!(
                    "look-up: {} is on the server, which would have said so, and counts as lost: {reason}",
                    self.0.books.describe(sequence, &setup.stream)
                ));
            }
        }
        Ok(())
    }
}
