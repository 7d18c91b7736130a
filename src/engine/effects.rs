//! Carries out what the others decide: the only place that changes several parts of the engine at once.
//!
//! | file | what it carries out |
//! |---|---|
//! | `effects/admission.rs` | a record as it comes (E3) |
//! | `effects/departure.rs` | a step of the scheduler becomes a request (E2, E4) |
//! | `effects/answers.rs` | what an answer means for a request and its rows (E7, E8) |
//! | `effects/faults.rs` | what a fault means for records: again, in parts, lost (E7) |
//! | `effects/deadlines.rs` | whether a record has another attempt, and its last one (E9) |
//! | `effects/look_ups.rs` | what a look-up tells of a record (E9) |
//! | `effects/sweeps.rs` | what is lost with a server that is given up (E9) |
//! | `effects/second_form.rs` | a table goes without a foreign key, and whole once more (E3) |
//! | `effects/endings.rs` | the end of a record, and what follows from it for others (E8, E11) |

mod admission;
mod answers;
mod deadlines;
mod departure;
mod endings;
mod faults;
mod look_ups;
mod second_form;
mod sweeps;
#[cfg(test)]
mod tests;

pub(super) use sweeps::Sweep;
