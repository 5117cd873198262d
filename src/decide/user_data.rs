//! The script that a box runs at its first boot, and the form in which AWS takes it.
//!
//! Owns the rendering of `templates/box/user-data.sh.j2` and the limit of 16 KB. Must not know AWS clients or any value of
//! a parameter: [`Boot`] holds names only, so no secret *can* be in user data, which everybody who may describe the
//! instance can read.
//!
//! The script unpacks the programs of the box (`templates/box/*.py`, the same for everybody) and one JSON document, which
//! holds what the file says. A value is quoted by the template's formatter, never by hand; the programs are ours, and
//! stand in here-documents so that a person can read them.
//!
//! AWS oddities: the limit of 16,384 bytes counts before base64; AWS refuses, but does not compress; cloud-init unpacks
//! gzip by itself. User data runs once in a box's life, not at each boot.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, ErrorKind, Output, UndefinedBehavior};
use serde_json::json;

use super::names::NONE;
use crate::spec::{Container, Gpus, Lifetime, ParameterPath, Period, Selection, Text, WorkerName};

/// What AWS takes, in bytes before base64.
pub const LIMIT: usize = 16_384;

/// Known in the box without a parameter of the name.
pub const BUILT_IN: [&str; 2] = ["AWS_REGION", "AWS_ACCOUNT_ID"];

/// What the script depends on, and nothing else: two equal boots give the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// The stack's name.
    pub name: &'a WorkerName,
    /// Where the box and its parameters are.
    pub region: &'a str,
    /// The account's twelve digits, for `${AWS_ACCOUNT_ID}`.
    pub account: &'a str,
    /// Where the parameters are read.
    pub path: &'a ParameterPath,
    /// Keys that are not secret and may stand in an argument.
    pub plain: &'a BTreeSet<String>,
    /// What runs.
    pub container: &'a Container,
    /// Queues whose emptiness the idle watch looks at.
    pub queues: &'a [Text],
    /// When it ends.
    pub lifetime: &'a Lifetime,
}

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUserData {
    /// A secret would be an argument of `docker run`, which each process on the box can read.
    #[error(
        "`${{{key}}}` in `container.{place}` would show a secret in the box's process list: the container has it as the environment variable `{key}`, or list it under `parameters.plain`"
    )]
    Exposed {
        /// The secret parameter.
        key: String,
        /// `args` or `command`.
        place: &'static str,
    },
    /// A value that no shell word can hold (a NUL byte), or a template that does not fit its input.
    #[error("the boot script cannot be rendered")]
    Template(#[from] minijinja::Error),
}

/// The boot script.
///
/// # Errors
/// A secret parameter in `args` or `command`; a NUL byte in a value.
pub fn render(boot: &Boot<'_>) -> Result<String, InvalidUserData> {
    refuse_exposed_secrets(boot)?;
    let container = boot.container;
    let texts = |texts: &[Text]| texts.iter().map(Text::to_string).collect::<Vec<_>>();
    let limit = |period: Option<Period>| period.map_or_else(|| NONE.to_owned(), |period| period.to_string());
    let facts = json!({
        "region": boot.region,
        "account": boot.account,
        "path": boot.path.as_str(),
        "container": format!("spotctl-{}", boot.name),
        "image": container.image.to_string(),
        "gpus": match container.gpus {
            Gpus::All => Some("all".to_owned()),
            Gpus::Count(count) => Some(count.to_string()),
            Gpus::None => None,
        },
        "env": container.env.iter().map(|(key, text)| (key.clone(), text.to_string().into())).collect::<serde_json::Map<_, _>>(),
        "parameters": match &container.parameters {
            Selection::All => None,
            Selection::Keys(keys) => Some(keys),
        },
        "plain": boot.plain,
        "args": texts(&container.args),
        "command": texts(&container.command),
        "stop_timeout": container.stop_timeout.as_secs(),
        "queues": texts(boot.queues),
        "lifetime": limit(boot.lifetime.max),
        "idle": limit(boot.lifetime.idle),
        "boot": limit(boot.lifetime.boot),
    });
    let values = minijinja::context! {
        backstop_minutes => boot.lifetime.max.map(backstop_minutes),
        box_json => facts.to_string(),
        programs => Value::from_safe_string(FILES.iter().map(BoxFile::here_document).collect()),
    };
    let script = templates()?.get_template("user-data.sh")?.render(values)?;
    Ok(script + "\n") // the library drops a template's last newline
}

/// `shutdown` counts in minutes; a part of one counts as a whole. The guard's own end comes first.
fn backstop_minutes(period: Period) -> u32 {
    const LATER: u32 = 10;
    period.as_secs().div_ceil(60) + LATER
}

/// A file that is the same on every box.
struct BoxFile {
    place: &'static str,
    text: &'static str,
}

const FILES: [BoxFile; 5] = [
    BoxFile { place: "/opt/spotctl/aws.py", text: include_str!("../../templates/box/aws.py") },
    BoxFile { place: "/opt/spotctl/worker.py", text: include_str!("../../templates/box/worker.py") },
    BoxFile { place: "/opt/spotctl/boot.py", text: include_str!("../../templates/box/boot.py") },
    BoxFile { place: "/opt/spotctl/guard.py", text: include_str!("../../templates/box/guard.py") },
    BoxFile { place: "/etc/systemd/system/spotctl.service", text: include_str!("../../templates/box/spotctl.service") },
];

impl BoxFile {
    /// No line of any of these files is this one; a test holds that.
    const END: &'static str = "END_OF_FILE";

    fn here_document(&self) -> String {
        let Self { place, text } = self;
        let end = Self::END;
        format!("\ncat >{place} <<'{end}'\n{text}{end}\n")
    }
}

fn refuse_exposed_secrets(boot: &Boot<'_>) -> Result<(), InvalidUserData> {
    let arguments = boot.container.args.iter().map(|text| ("args", text));
    let command = boot.container.command.iter().map(|text| ("command", text));
    for (place, text) in arguments.chain(command) {
        if let Some(key) = text.keys().find(|key| !boot.plain.contains(*key) && !BUILT_IN.contains(key)) {
            return Err(InvalidUserData::Exposed { key: key.to_owned(), place });
        }
    }
    Ok(())
}

fn templates() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, _, value| quote(out, value));
    environment.add_template("user-data.sh", include_str!("../../templates/box/user-data.sh.j2"))?;
    Ok(environment)
}

/// Writes a value as exactly one word of the shell: the only way by which anything of the user's gets into the script.
/// What is marked safe is ours and is shell already.
fn quote(out: &mut Output<'_>, value: &Value) -> Result<(), minijinja::Error> {
    if value.is_safe() {
        return out.write_str(value.as_str().unwrap_or_default()).map_err(minijinja::Error::from);
    }
    let refuse = |why: String| minijinja::Error::new(ErrorKind::BadEscape, why);
    let text = match value.kind() {
        ValueKind::String | ValueKind::Number => value.to_string(),
        kind => return Err(refuse(format!("a value of kind {kind} is not one shell word"))),
    };
    let word = shlex::try_quote(&text).map_err(|error| refuse(error.to_string()))?;
    out.write_str(&word).map_err(minijinja::Error::from)
}

/// User data as the API takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedUserData {
    /// For `UserData`.
    pub base64: String,
    /// What AWS counts.
    pub bytes: usize,
    /// Whether the script alone was over the limit.
    pub gzipped: bool,
}

/// A script that is over AWS's limit even when compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// The script's own size.
    pub bytes: usize,
    /// Its size when compressed.
    pub gzipped: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, gzipped } = self;
        write!(
            f,
            "the boot script has {bytes} bytes, {gzipped} compressed, and AWS takes {LIMIT}: shorten `container.env`, `args` or `command`"
        )
    }
}

impl std::error::Error for TooLarge {}

/// Encodes `script`, compressed only where it must be, so that it stays legible in the console where it can. The same
/// script gives the same bytes: no time stamp goes in, or each `apply` would see a change.
///
/// # Errors
/// The sizes, when the script is too large even when compressed.
pub fn encode(script: &str) -> Result<EncodedUserData, TooLarge> {
    if script.len() <= LIMIT {
        return Ok(EncodedUserData { base64: STANDARD.encode(script), bytes: script.len(), gzipped: false });
    }
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let packed =
        encoder.write_all(script.as_bytes()).and_then(|()| encoder.finish()).expect("writing to memory does not fail");
    if packed.len() > LIMIT {
        return Err(TooLarge { bytes: script.len(), gzipped: packed.len() });
    }
    Ok(EncodedUserData { base64: STANDARD.encode(&packed), bytes: packed.len(), gzipped: true })
}

#[cfg(test)]
mod tests;
