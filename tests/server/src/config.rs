//! How a server is started, and what may be switched while it runs. Data only.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::latency::Latency;

/// The release line whose behaviour is imitated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub enum Profile {
    /// Rows of a bulk request run in parallel, in random order; overload is a row 503.
    #[serde(rename = "1.11")]
    V1_11,
    /// Rows run one after the other.
    #[serde(rename = "1.12")]
    V1_12,
    /// As 1.12.
    #[serde(rename = "1.13")]
    V1_13,
    /// The source hash decides about updates; `overrideMetadata` and `deleteStale` exist.
    #[default]
    #[serde(rename = "2.0")]
    V2_0,
}

impl Profile {
    /// Reads `1.11`, `1.12`, `1.13` or `2.0`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "1.11" => Ok(Profile::V1_11),
            "1.12" => Ok(Profile::V1_12),
            "1.13" => Ok(Profile::V1_13),
            "2.0" => Ok(Profile::V2_0),
            other => Err(format!("there is no profile {other}: use 1.11, 1.12, 1.13 or 2.0")),
        }
    }

    /// What `GET /v1/system/version` answers.
    pub fn version(self) -> &'static str {
        match self {
            Profile::V1_11 => "1.11.14",
            Profile::V1_12 => "1.12.14",
            Profile::V1_13 => "1.13.6",
            Profile::V2_0 => "2.0.7",
        }
    }
}

/// What can be switched while the server runs (`PUT /switches`); each default is what the real server does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// A PATCH of a table loses `schemaDefinition`, as on every real server so far.
    pub patch_drops_schema_definition: bool,
    /// A PATCH of a table loses `tablePartition`, as reported of some.
    pub patch_drops_table_partition: bool,
    /// A PATCH clears the source hash, so that the next PUT is compared again.
    pub patch_clears_source_hash: bool,
    /// `PATCH /{collection}/name/{fqn}` exists.
    pub patch_by_name: bool,
    /// `PUT .../bulk` exists.
    pub bulk: bool,
    /// Bodies with `Content-Encoding: gzip` are read.
    pub gzip_requests: bool,
    /// The second of two rows of one name in a bulk request is refused, as by early builds of 1.12.
    pub refuse_duplicate_rows: bool,
    /// Created rows carry the row status 201, as in some builds of 1.12.
    pub created_rows_are_201: bool,
    /// Work is committed when the request arrives, and only the answer takes its time.
    pub commit_at_start: bool,
    /// Work that is not committed is dropped when the client closes its connection. The real server goes on.
    pub stop_when_client_leaves: bool,
    /// A create request with a property that no published schema has is refused.
    pub refuse_unknown_properties: bool,
    /// How long a connection may idle before it is closed, in seconds.
    pub idle_timeout_s: f64,
    /// What `GET /v1/system/version` answers, where that is not the profile's version.
    pub version: Option<String>,
    /// The only token that the bot may use now; another one is what it was before a rotation.
    pub bot_token: String,
}

impl Default for Switches {
    fn default() -> Self {
        Switches {
            patch_drops_schema_definition: true,
            patch_drops_table_partition: false,
            patch_clears_source_hash: false,
            patch_by_name: true,
            bulk: true,
            gzip_requests: true,
            refuse_duplicate_rows: false,
            created_rows_are_201: false,
            commit_at_start: false,
            stop_when_client_leaves: false,
            refuse_unknown_properties: true,
            idle_timeout_s: 60.0,
            version: None,
            bot_token: crate::auth::bot_token(),
        }
    }
}

impl Switches {
    /// The idle time-out as a duration.
    pub fn idle_timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.idle_timeout_s).unwrap_or(Duration::from_secs(60))
    }
}

/// The certificate of the server, and whose certificates it demands.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM file with the server's certificate chain.
    pub certificate: std::path::PathBuf,
    /// PEM file with its key.
    pub key: std::path::PathBuf,
    /// PEM file with the authority that client certificates must come from.
    pub client_authority: Option<std::path::PathBuf>,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API listens; loopback only.
    pub address: SocketAddr,
    /// Where the control API listens; loopback only.
    pub control_address: SocketAddr,
    /// Which release line to imitate.
    pub profile: Profile,
    /// How long things take.
    pub latency: Latency,
    /// What differs from the defaults.
    pub switches: Switches,
    /// Whether entities are kept whole. Without, rows of large collections leave only their name and a hash.
    pub keep_bodies: bool,
    /// Whether the request log keeps request bodies.
    pub log_bodies: bool,
    /// TLS for the API; the control API never has it.
    pub tls: Option<TlsFiles>,
    /// Seeds whatever is random: row order in 1.11, fault rates.
    pub seed: u64,
    /// Threads of the server's own runtime.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Config {
            address: any,
            control_address: any,
            profile: Profile::default(),
            latency: Latency::default(),
            switches: Switches::default(),
            keep_bodies: true,
            log_bodies: false,
            tls: None,
            seed: 1,
            threads: 2,
        }
    }
}
