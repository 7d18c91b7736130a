//! Deliberate defects, compiled only with the feature `defects`: each must be found by the simulation, or the simulation has no teeth.
//!
//! A place where one can be made asks `broken!(defect, Name)`, which is `false` without the feature.

/// What is broken.
#[cfg(feature = "defects")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// A child does not wait for its parent.
    ForgetsParents,
    /// A record does not wait for the others that it names.
    ForgetsNeeds,
    /// Two writers of one entity may be in flight.
    ForgetsWriters,
    /// What waits for a parked record goes on waiting.
    ParkingHoldsDependants,
    /// A dashboard that waits for chart 7 is sent when dashboard 7 is written.
    MixesUpCollections,
    /// A life cycle that was parked goes behind later ones.
    ParkedLifeCyclesGoLast,
    /// What somebody waits for is in no hurry.
    HurriesNobody,
    /// A wait ends with the first of its records.
    WaitsEndEarly,
    /// Nobody who waits for room ever gets it.
    GivesNoRoom,
    /// A wait that was cancelled goes on.
    CancelsNothing,
    /// Records that share an outcome get none.
    ForgetsSharers,
    /// More requests are in flight than there are workers.
    IgnoresTheLimit,
    /// Parked records are not sent once more at the end.
    GivesNoLastChance,
    /// A record lingers for ever for its batch to fill.
    LingersForEver,
    /// Records are given up long before their deadline.
    GivesUpEarly,
    /// Of a batch that is split, one half is lost.
    ForgetsHalf,
    /// A row that an answer does not mention counts as written.
    TakesSilenceForConsent,
    /// A record whose result is unknown is called lost without a doubt.
    ForgetsDoubts,
    /// `Retry-After` is not obeyed.
    IgnoresRetryAfter,
    /// Rows that the server had no room for are not sent again.
    ForgetsOverloadedRows,
    /// What was held back while a few records were tried alone is never sent.
    ForgetsTheInquest,
    /// A record is there if the server has anything of its name.
    ReadsBackCarelessly,
    /// A body that was written once counts as written for ever.
    TrustsOldBodies,
    /// A record is sent although what must come first failed.
    ForgetsFirsts,
    /// A server that refuses a compressed request is taken to refuse its records.
    BlamesRecordsForCompression,
}

#[cfg(feature = "defects")]
impl Defect {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::ForgetsParents,
        Self::ForgetsNeeds,
        Self::ForgetsWriters,
        Self::ParkingHoldsDependants,
        Self::MixesUpCollections,
        Self::ParkedLifeCyclesGoLast,
        Self::HurriesNobody,
        Self::WaitsEndEarly,
        Self::GivesNoRoom,
        Self::CancelsNothing,
        Self::ForgetsSharers,
        Self::IgnoresTheLimit,
        Self::GivesNoLastChance,
        Self::LingersForEver,
        Self::GivesUpEarly,
        Self::ForgetsHalf,
        Self::TakesSilenceForConsent,
        Self::ForgetsDoubts,
        Self::IgnoresRetryAfter,
        Self::ForgetsOverloadedRows,
        Self::ForgetsTheInquest,
        Self::ReadsBackCarelessly,
        Self::TrustsOldBodies,
        Self::ForgetsFirsts,
        Self::BlamesRecordsForCompression,
    ];
}

/// What is broken of an engine, if anything is.
#[cfg(feature = "defects")]
pub type Planted = Option<Defect>;
/// Nothing ever is.
#[cfg(not(feature = "defects"))]
pub type Planted = Option<std::convert::Infallible>;

#[cfg(feature = "defects")]
macro_rules! broken {
    ($defect:expr, $name:ident) => {
        $defect == Some($crate::engine::defects::Defect::$name)
    };
}

#[cfg(not(feature = "defects"))]
macro_rules! broken {
    ($defect:expr, $name:ident) => {{
        let _: $crate::engine::defects::Planted = $defect;
        false
    }};
}

pub(super) use broken;
