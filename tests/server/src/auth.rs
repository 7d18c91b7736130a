//! Who sends a request: bearer tokens and the three principals of a fresh server.
//!
//! A token has the form of a JSON web token. Its last part is the word below instead of a signature: this server checks form,
//! subject and expiry, and is no place for secrets.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use serde_json::{json, Value};

use crate::config::Switches;
use crate::kinds;
use crate::reply::Refusal;
use crate::store::{Include, Store};

/// Stands where a signature would.
const SIGNATURE: &str = "reference-server";

/// What a principal may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Everything, as a person.
    Admin,
    /// Everything, as a machine: what people edited is protected from it.
    Bot,
    /// Reading.
    Consumer,
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The user name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

impl Principal {
    /// The refusal of an operation that the principal has no right to.
    pub fn denied(&self, operation: &str) -> Refusal {
        Refusal::new(
            403,
            format!(
                "Principal: CatalogPrincipal{{name='{}'}} operations [{operation}] not allowed",
                self.name
            ),
        )
    }

    /// Whether the principal may change something.
    pub fn may_write(&self) -> bool {
        self.role != Role::Consumer
    }
}

/// A token for a user. `expires`: seconds since 1970.
pub fn token(user: &str, expires: Option<i64>) -> String {
    let mut claims = json!({"sub": user, "iss": "open-metadata.org"});
    if let Some(expires) = expires {
        claims["exp"] = json!(expires);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.{}",
        part(&json!({"alg": "none", "typ": "JWT"})),
        part(&claims),
        URL_SAFE_NO_PAD.encode(SIGNATURE)
    )
}

/// The token of `ingestion-bot`, unless the server was started with another.
pub fn bot_token() -> String {
    token("ingestion-bot", None)
}

/// The token of `admin`.
pub fn admin_token() -> String {
    token("admin", None)
}

/// The token of `consumer`, who may read only.
pub fn consumer_token() -> String {
    token("consumer", None)
}

/// Finds out who sends a request with this `Authorization` header.
pub fn authenticate(header: Option<&str>, switches: &Switches, store: &Store) -> Result<Principal, Refusal> {
    let unauthorised = |text: &str| Refusal::new(401, text);
    let header = header.map(str::trim).filter(|text| !text.is_empty());
    let Some(header) = header else {
        return Err(unauthorised("Not Authorized! Token not present"));
    };
    let Some(token) = header.strip_prefix("Bearer ").map(str::trim) else {
        return Err(unauthorised("Not Authorized! Token not present"));
    };
    if token == switches.bot_token {
        return Ok(Principal {
            name: "ingestion-bot".to_string(),
            role: Role::Bot,
        });
    }
    let claims = claims(token).ok_or_else(|| unauthorised("Invalid token."))?;
    if claims["exp"]
        .as_i64()
        .is_some_and(|expires| expires * 1000 < crate::store::now_ms())
    {
        return Err(unauthorised("Expired token!"));
    }
    let subject = claims["sub"].as_str().unwrap_or_default();
    match subject {
        "" => Err(unauthorised("Invalid token.")),
        "ingestion-bot" => Err(unauthorised("The given token does not match the current bot's token!")),
        "admin" => Ok(Principal {
            name: subject.to_string(),
            role: Role::Admin,
        }),
        other => match store.find(kinds::at("users"), other, Include::Live) {
            Some(_) => Ok(Principal {
                name: other.to_string(),
                role: Role::Consumer,
            }),
            None => Err(Refusal::not_found("user", other)),
        },
    }
}

/// The claims of a token that has the right form and "signature".
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || URL_SAFE_NO_PAD.decode(signature).ok()? != SIGNATURE.as_bytes() {
        return None;
    }
    let decode = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    decode(header)?;
    decode(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&str>) -> Result<Principal, Refusal> {
        authenticate(header, &Switches::default(), &Store::new(true, 0))
    }

    #[test]
    fn the_three_tokens_are_three_roles() {
        for (token, role) in [
            (bot_token(), Role::Bot),
            (admin_token(), Role::Admin),
            (consumer_token(), Role::Consumer),
        ] {
            assert_eq!(check(Some(&format!("Bearer {token}"))).map(|who| who.role), Ok(role));
        }
    }

    #[test]
    fn each_wrong_token_has_its_own_answer() {
        let refused = |header: Option<&str>| check(header).expect_err("must be refused");
        assert_eq!(refused(None).status, 401);
        assert_eq!(refused(Some("Basic x")).status, 401);
        assert_eq!(refused(Some("Bearer nonsense")).message, "Invalid token.");
        let expired = format!("Bearer {}", token("admin", Some(1)));
        assert_eq!(refused(Some(&expired)).message, "Expired token!");
        let rotated = format!("Bearer {}", token("ingestion-bot", Some(4_000_000_000)));
        assert!(refused(Some(&rotated)).message.contains("current bot's token"));
        let stranger = format!("Bearer {}", token("stranger", None));
        assert_eq!(refused(Some(&stranger)), Refusal::not_found("user", "stranger"));
    }
}
