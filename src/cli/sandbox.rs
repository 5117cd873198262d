//! `spotctl sandbox`: serves the embedded AWS, forgets it, makes its weather.

use std::net::Ipv4Addr;
use std::path::Path;

use clap::Subcommand;
use serde::Serialize;
use tokio::net::TcpListener;

use super::Outcome;
use super::signal::until_signal;
use crate::error::{Error, Kind, Result};
use crate::report::{self, Report};
use crate::sandbox::{Sandbox, serve};
use crate::settings::{GlobalArgs, SANDBOX_STATE};
use crate::ui::Ui;

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Answer AWS's protocols on a loopback port, for boto3, the AWS CLI, Terraform
    Serve {
        /// 0 takes a free one, which is printed
        #[arg(long, value_name = "PORT", default_value_t = 4566)]
        port: u16,
    },
    /// Forget everything
    Reset,
    /// Make weather, such as `quota G=0`, `dry g4dn.xlarge us-east-1a`, `latency 50ms`
    #[command(after_help = crate::sandbox::weather::WORDS)]
    Set {
        /// The words
        #[arg(required = true, value_name = "WORD", allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    said: String,
}

impl Report for Said {
    fn text(&self, _color: bool) -> String {
        format!("{}\n", self.said)
    }
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: Args) -> Outcome {
    let said = |said: String| Said { endpoint: None, said };
    let report = match (args.verb, &global.endpoint_url) {
        (Verb::Serve { .. }, Some(_)) => {
            return Err(Error::usage("`sandbox serve` makes an endpoint, it does not take one").into());
        }
        (Verb::Serve { port }, None) => return listen(ui, port).await,
        (Verb::Reset, None) => {
            open()?.reset().map_err(|error| broken(&error))?;
            said("the sandbox is empty".to_owned())
        }
        (Verb::Set { words }, None) => said(open()?.set(&words).map_err(|error| Error::usage(error.to_string()))?),
        (Verb::Reset, Some(url)) => said(serve::control(url, "reset", "").await.map_err(Error::usage)?),
        (Verb::Set { words }, Some(url)) => {
            // As JSON, since a word may have several lines.
            let words = serde_json::Value::from(words).to_string();
            said(serve::control(url, "set", &words).await.map_err(Error::usage)?)
        }
    };
    report::write(ui, "sandbox", &report, None);
    Ok(0)
}

fn open() -> Result<Sandbox> {
    Sandbox::open(Path::new(SANDBOX_STATE).to_owned()).map_err(|error| broken(&error))
}

fn broken(error: &std::io::Error) -> Error {
    Error::usage(format!("opening the sandbox in `{SANDBOX_STATE}`: {error}")).hint("to begin anew: rm -r .spotctl")
}

/// Loopback only: the sandbox checks no signature, so nobody else may reach it.
async fn listen(ui: &Ui, port: u16) -> Outcome {
    let sandbox = open()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        Error::new(Kind::Usage, format!("listening on 127.0.0.1:{port}: {error}"))
            .hint("another port: spotctl sandbox serve --port 0")
    })?;
    let address = listener.local_addr().map_err(|error| broken(&error))?;
    let endpoint = format!("http://{address}");
    report::write(ui, "sandbox", &Said { said: endpoint.clone(), endpoint: Some(endpoint.clone()) }, None);
    ui.note(&format!("state in {SANDBOX_STATE}; any credentials will do; end it with Ctrl-C"));
    ui.note(&format!("in another shell: export AWS_ENDPOINT_URL={endpoint} AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1"));
    let served = until_signal(async {
        serve::serve(sandbox, listener, std::future::pending()).await.map_err(|error| broken(&error))
    });
    match served.await {
        // Ended as it is meant to be ended.
        Err(error) if matches!(error.kind, Kind::Interrupted | Kind::Terminated) => Ok(0),
        other => other.map(|()| 0).map_err(Into::into),
    }
}
