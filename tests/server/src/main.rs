//! The reference server as a program: options, one line of JSON when it is ready, and its end.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use om_reference_server::{auth, Config, Latency, Profile, Server, TlsFiles};

const USAGE: &str = "om-reference-server: a strict stand-in for the OpenMetadata API (it is not OpenMetadata)

  --port N              port of the API at 127.0.0.1; 0, the default, lets the system choose
  --control-port N      port of the control API
  --profile LINE        1.11, 1.12, 1.13 or 2.0 (default)
  --token T             the bot's token; the default is printed by --print-tokens
  --latency JSON        the latency model, as {\"bulk\": {\"request_ms\": 105, \"row_ms\": 26}}
  --switches JSON       what differs from the real server's defaults, as {\"gzip_requests\": false}
  --keep-bodies BOOL    false: entities of large collections leave only their name and a hash
  --log-bodies BOOL     true: GET /requests?bodies=1 shows request bodies
  --idle-timeout S      close idle connections after so many seconds (60)
  --seed N              seeds row order (1.11) and fault rates
  --threads N           threads of the server (2)
  --tls-cert F --tls-key F   serve HTTPS with this certificate and key (PEM)
  --client-ca F         demand client certificates of this authority (PEM)
  --exit-with-stdin     end when standard input is closed
  --print-tokens        print the tokens of bot, admin and consumer as JSON, and end
  --help                print this, and end";

/// Reads the options. The second value: whether to end with standard input.
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<(Config, bool)>, String> {
    let mut config = Config::default();
    let mut exit_with_stdin = false;
    let (mut certificate, mut key, mut client_authority) = (None::<PathBuf>, None::<PathBuf>, None::<PathBuf>);
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name.to_string(), Some(value.to_string())),
            None => (argument, None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| arguments.next())
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name.as_str() {
            "--port" => config.address = address(&name, &value()?)?,
            "--control-port" => config.control_address = address(&name, &value()?)?,
            "--profile" => config.profile = Profile::parse(&value()?)?,
            "--token" => config.switches.bot_token = value()?,
            "--latency" => config.latency = Latency::parse(&value()?)?,
            "--switches" => {
                let bot_token = config.switches.bot_token.clone();
                config.switches = serde_json::from_str(&value()?).map_err(|error| format!("{name}: {error}"))?;
                if config.switches.bot_token == auth::bot_token() {
                    config.switches.bot_token = bot_token;
                }
            }
            "--keep-bodies" => config.keep_bodies = number(&name, &value()?)?,
            "--log-bodies" => config.log_bodies = number(&name, &value()?)?,
            "--idle-timeout" => config.switches.idle_timeout_s = number(&name, &value()?)?,
            "--seed" => config.seed = number(&name, &value()?)?,
            "--threads" => config.threads = number(&name, &value()?)?,
            "--tls-cert" => certificate = Some(value()?.into()),
            "--tls-key" => key = Some(value()?.into()),
            "--client-ca" => client_authority = Some(value()?.into()),
            "--exit-with-stdin" => exit_with_stdin = true,
            "--print-tokens" => {
                let (bot, admin, consumer) = (auth::bot_token(), auth::admin_token(), auth::consumer_token());
                println!(
                    "{}",
                    serde_json::json!({"bot": bot, "admin": admin, "consumer": consumer})
                );
                return Ok(None);
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(None);
            }
            other => return Err(format!("there is no option {other}; --help lists them")),
        }
    }
    config.tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate,
            key,
            client_authority,
        }),
        (None, None) if client_authority.is_none() => None,
        _ => return Err("--tls-cert and --tls-key belong together, and --client-ca needs both".into()),
    };
    Ok(Some((config, exit_with_stdin)))
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} cannot be {text}"))
}

fn address(name: &str, text: &str) -> Result<SocketAddr, String> {
    Ok(SocketAddr::from(([127, 0, 0, 1], number(name, text)?)))
}

fn run() -> Result<(), String> {
    let Some((config, exit_with_stdin)) = options(std::env::args().skip(1))? else {
        return Ok(());
    };
    let server = Server::start(&config)?;
    let ready = serde_json::json!({"url": server.url, "control": server.control_url, "pid": std::process::id()});
    let mut out = std::io::stdout();
    writeln!(out, "{ready}")
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))?;
    if exit_with_stdin {
        // Whoever started this server is gone when its end of the pipe is closed.
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("om-reference-server: {message}");
            ExitCode::from(2)
        }
    }
}
