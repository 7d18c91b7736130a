//! Settings that are refused, each with its name and what to change; and secrets that no text of ours shows.

use std::time::Duration;

use openmetadata_bulksink::http::{Client, Settings, SettingsError, Trust};

use crate::authority::{named, self_signed};
use crate::peer::{client, settings, TOKEN};

const URL: &str = "https://om.example.org/api/v1";

fn error(settings: &Settings) -> SettingsError {
    let error = Client::new(settings).expect_err("these settings cannot be used");
    assert_eq!(error.to_string(), format!("{}: {}", error.setting(), error.text()));
    error
}

fn refused(settings: &Settings, setting: &str, part: &str) {
    let error = error(settings);
    assert_eq!(error.setting(), setting, "{error}");
    assert!(error.text().contains(part), "{part:?} is not in {error}");
}

/// Settings for a server that speaks TLS, so that trust and identity count.
fn https() -> Settings {
    Settings {
        trust: Trust::Anything,
        ..settings(URL)
    }
}

#[test]
fn base_urls() {
    for (url, part) in [
        ("", "is not a URL"),
        ("om.example.org/api", "is not a URL"),
        ("om.example.org:8585/api", "must begin with http:// or https://"),
        ("ftp://om.example.org/api", "must begin with http:// or https://"),
        ("http:///api?x", "must not hold `?`"),
        ("http://", "is not a URL"),
        ("http://host:99999/api", "is not a URL"),
        ("http://host/api?a=b", "must not hold `?` or `#`"),
        ("http://host/api#a", "must not hold `?` or `#`"),
        ("http://user:hidden@host/api", "must not hold a user name or a password"),
        ("http://hidden@host/api", "must not hold a user name or a password"),
    ] {
        refused(&settings(url), "base_url", part);
        refused(&settings(url), "base_url", "http://host:8585/api/v1");
        assert!(!error(&settings(url)).to_string().contains("hidden"));
    }
}

#[test]
fn headers() {
    let with = |name: &str, value: &str| Settings {
        headers: vec![(name.to_owned(), value.into())],
        ..settings("http://host/api")
    };
    refused(&with("a b", "x"), "headers", "\"a b\" cannot be the name of a header");
    refused(&with("", "x"), "headers", "\"\" cannot be the name of a header");
    for value in ["hidden\r\nX: y", "hidden\n", "hidden\u{20ac}", "hidden\0"] {
        refused(&with("X-Name", value), "headers", "the value of X-Name");
        assert!(!error(&with("X-Name", value)).to_string().contains("hidden"));
    }
}

#[test]
fn bulk_queries() {
    for query in ["?async=false", "&a=b", "a b", "a#b", "a=\u{e9}", "a\r\nb"] {
        let settings = Settings {
            bulk_query: query.to_owned(),
            ..settings("http://host/api")
        };
        refused(&settings, "bulk_query", "give it as async=false");
    }
}

#[test]
fn time_outs() {
    let settings = Settings {
        connect_timeout: Duration::ZERO,
        ..settings("http://host/api")
    };
    refused(&settings, "connect_timeout", "more than zero");
    let settings = Settings {
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::ZERO,
        ..settings
    };
    refused(&settings, "read_timeout", "more than zero");
}

#[test]
fn proxies() {
    for (proxy, part) in [
        ("socks5://user:hidden@proxy:1080", "socks5 proxies are not supported"),
        ("ftp://hidden@proxy", "ftp proxies are not supported"),
        ("http://", "is not a URL"),
        ("", "is not a URL"),
        ("user:hidden@proxy:port", "is not a URL"),
    ] {
        let settings = Settings {
            proxy: Some(proxy.into()),
            ..settings("http://host/api")
        };
        refused(&settings, "proxy", part);
        refused(&settings, "proxy", "give it as http://host:port");
        assert!(!error(&settings).to_string().contains("hidden"));
    }
}

#[test]
fn ca_files() {
    for (pem, part) in [
        (&b""[..], "holds no certificate"),
        (b"garbage", "holds no certificate"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "holds no certificate",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "that can be read",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n",
            "is damaged",
        ),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "is damaged"),
        (b"\x30\x82\x01\x0a\x02\x82\x01\x01\x00", "holds no certificate"),
    ] {
        let settings = Settings {
            trust: Trust::Only(pem.to_vec()),
            ..https()
        };
        refused(&settings, "trust", part);
        refused(&settings, "trust", "PEM");
        // What is not used is not checked: with http it worked yesterday.
        let plain = Settings {
            base_url: "http://host/api".to_owned(),
            ..settings
        };
        Client::new(&plain).unwrap();
        let secure_proxy = Settings {
            proxy: Some("https://proxy:443".into()),
            ..plain
        };
        refused(&secure_proxy, "trust", part);
    }
}

#[test]
fn client_certificates() {
    let (one, other) = (self_signed(named(&["one"])), self_signed(named(&["other"])));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
                         -----END RSA PRIVATE KEY-----\n";
    let pem = |certificate: &str, key: &str| format!("{certificate}{key}").into_bytes();
    for (identity, part) in [
        (b"".to_vec(), "there is no client certificate"),
        (pem("", &one.key), "there is no client certificate"),
        (pem(&one.certificate, ""), "no readable private key"),
        (pem(&one.certificate, encrypted), "is encrypted"),
        (pem(&one.certificate, old_encrypted), "is encrypted"),
        (
            pem(&one.certificate, &other.key),
            "does not belong to the client certificate",
        ),
        (
            pem(
                "-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n",
                &one.key,
            ),
            "is damaged",
        ),
    ] {
        let settings = Settings {
            identity: Some(identity.into()),
            ..https()
        };
        refused(&settings, "identity", part);
        assert!(!error(&settings).to_string().contains("BEGIN"));
    }
    let good = Settings {
        identity: Some(one.pem().into()),
        ..https()
    };
    Client::new(&good).unwrap();
}

#[test]
fn tokens() {
    let client = Client::new(&https()).unwrap();
    for (token, part) in [
        ("", "is empty"),
        ("Bearer hidden", "without `Bearer`"),
        ("hidden\n", "a line break"),
        ("hidd\u{e9}n", "another character"),
    ] {
        let error = client.set_token(token.into()).unwrap_err();
        assert_eq!(error.setting(), "token");
        assert!(error.text().contains(part), "{error}");
        assert!(!error.to_string().contains("hidd"), "{error}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let identity = self_signed(named(&["one"]));
    let key = identity.key.lines().nth(1).unwrap().to_owned();
    let settings = Settings {
        headers: vec![("Cookie".to_owned(), "sid=hidden".into())],
        proxy: Some("http://user:hidden@proxy:3128".into()),
        identity: Some(identity.pem().into()),
        ..https()
    };
    let client = client(&settings);
    for text in [
        format!("{settings:?}"),
        format!("{settings:#?}"),
        format!("{client:?}"),
        format!("{client:#?}"),
    ] {
        assert!(text.contains(URL), "{text}");
        for secret in ["hidden", TOKEN, &key] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
        // As a list of numbers it would be a secret too.
        assert!(!text.contains("45, 45, 45"), "{text}");
    }
    let settings = Settings {
        base_url: "http://user:hidden@host/api".to_owned(),
        ..settings
    };
    let text = format!("{settings:?}");
    assert!(
        text.contains("http://***@host/api") && !text.contains("hidden"),
        "{text}"
    );
}
