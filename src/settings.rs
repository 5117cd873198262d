//! What a run is told from outside the file, with one precedence for all of it: flag, environment, file, default.
//!
//! Arguments say what was typed; [`Settings`] says what it means. Credentials are the AWS SDK's business: it looks for
//! them in its own standard places, after `--profile`.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{ArgAction, Args, ValueEnum};

/// The global flags, as typed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The file that describes the worker
    #[arg(short, long, global = true, value_name = "FILE", env = "SPOTCTL_CONFIG", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,

    /// Profile in AWS's own configuration files
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,

    /// AWS region; goes before `AWS_REGION` and the file's `region`
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,

    /// Send every call to this address, such as `http://127.0.0.1:4566`
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint_url: Option<String>,

    /// How stdout is written
    #[arg(short, long, global = true, value_enum, default_value_t, env = "SPOTCTL_OUTPUT")]
    pub output: Output,

    /// No progress and no notes on stderr; errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Say which calls are made; twice: how long each took, thrice: everything but secrets
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// When to use colour; `NO_COLOR` is heeded too
    #[arg(long, global = true, value_enum, default_value_t)]
    pub color: Color,

    /// Use the embedded AWS in `.spotctl/` instead of an account
    #[arg(long, global = true, conflicts_with_all = ["endpoint_url", "profile"])]
    pub sandbox: bool,
}

/// How stdout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One document for programs.
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What was typed to say which account, region and file a command is about: a command that a hint names must be about the
/// same, or whoever pastes it ends workers of another account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Option and value, as typed.
    options: Vec<(&'static str, String)>,
    /// The file's region, where nobody has said another one: a command that names a stack may find no file.
    file_region: OnceLock<String>,
}

/// What a hint may tell to run.
const VERBS: [&str; 14] = [
    "apply", "destroy", "doctor", "down", "params", "plan", "prices", "quota", "reap", "render", "status", "up", "why",
    "sandbox",
];

impl Address {
    /// Of this command line; what the environment says holds for the next command too.
    #[must_use]
    pub fn of(args: &GlobalArgs) -> Self {
        let typed = |name: &'static str, value: Option<&String>| value.map(|value| (name, value.clone()));
        let config = args.config.display().to_string();
        let config = (config != DEFAULT_CONFIG && std::env::var_os("SPOTCTL_CONFIG").is_none()).then_some(config);
        let options = [
            args.sandbox.then(|| ("--sandbox", String::new())),
            typed("--profile", args.profile.as_ref()),
            typed("--region", args.region.as_ref()),
            typed("--endpoint-url", args.endpoint_url.as_ref()),
            typed("--config", config.as_ref()),
        ];
        Self { options: options.into_iter().flatten().collect(), file_region: OnceLock::new() }
    }

    /// The command is about the region that its file names.
    pub fn is_in(&self, file_region: &str) {
        let _ = self.file_region.set(file_region.to_owned());
    }

    /// The same text, with the options behind each `spotctl VERB` that does not name them itself.
    #[must_use]
    pub fn complete(&self, text: &str) -> String {
        const NAME: &str = "spotctl ";
        let mut parts = text.split(NAME);
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for rest in parts {
            whole.push_str(NAME);
            let verb = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
            let is_command = VERBS.contains(&verb) && !whole.trim_end_matches(NAME).ends_with('`');
            // Up to the end of the command, which stands last on its line, or between backticks.
            let command = rest.split(['\n', '`']).next().unwrap_or_default();
            // A stack that is named, or all of them, need no file; it may not be there, and its region with it.
            let is_named = command.contains("--name ");
            let needs_none = is_named || ["--all", "--stacks"].iter().any(|flag| command.contains(flag));
            let region = self.file_region.get().filter(|_| needs_none).map(|region| ("--region", region));
            let typed = self.options.iter().map(|(option, value)| (*option, value));
            let typed = typed.filter(|(option, _)| *option != "--config" || !is_named);
            for (option, value) in typed.chain(region).filter(|(option, _)| is_command && !command.contains(option)) {
                whole.push_str(option);
                whole.push(' ');
                if !value.is_empty() {
                    whole.push_str(&shlex::try_quote(value).unwrap_or_else(|_| "''".into()));
                    whole.push(' ');
                }
            }
            whole.push_str(rest);
        }
        whole
    }
}

/// The file when nobody names another.
const DEFAULT_CONFIG: &str = "spotctl.yaml";

/// What to connect to, after every precedence is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file.
    pub config: PathBuf,
    /// Profile in AWS's own files.
    pub profile: Option<String>,
    /// The region, where flag, environment or file names one; else AWS's profile decides.
    pub region: Option<String>,
    /// Where calls go instead of AWS.
    pub endpoint_url: Option<String>,
    /// Whether the embedded AWS answers.
    pub sandbox: bool,
}

/// Where the embedded AWS keeps its state, in the folder one works in.
pub const SANDBOX_STATE: &str = ".spotctl/sandbox.json";

/// The region of the embedded AWS when nobody names one.
const SANDBOX_REGION: &str = "us-east-1";

impl Settings {
    /// Settles the precedence; `environment` looks up a variable, `file_region` is the file's word.
    pub fn resolve(args: &GlobalArgs, environment: impl Fn(&str) -> Option<String>, file_region: Option<&str>) -> Self {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let region = args
            .region
            .clone()
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| file_region.map(str::to_owned))
            .or_else(|| args.sandbox.then(|| SANDBOX_REGION.to_owned()));
        Self {
            config: args.config.clone(),
            profile: args.profile.clone(),
            region,
            endpoint_url: args.endpoint_url.clone(),
            sandbox: args.sandbox,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        global: GlobalArgs,
    }

    #[test]
    fn a_command_that_a_hint_names_is_about_the_same_account_region_and_file() {
        for (flags, text, expected) in [
            (&["--sandbox"][..], "end them: spotctl down --name w", "end them: spotctl --sandbox down --name w"),
            (&["--sandbox"], "without an account: spotctl --sandbox up", "without an account: spotctl --sandbox up"),
            (&["--region", "r-1"], "spotctl reap --all --region r-2", "spotctl reap --all --region r-2"),
            (&["-c", "a b.yaml"], "spotctl plan", "spotctl --config 'a b.yaml' plan"),
            (&["-c", "a.yaml"], "spotctl destroy --name w --yes", "spotctl destroy --name w --yes"),
            (&["--profile", "p"], "the spotctl tool; spotctl up; x", "the spotctl tool; spotctl --profile p up; x"),
            (&[], "spotctl up", "spotctl up"),
        ] {
            let args = Only::parse_from([&["spotctl"], flags].concat()).global;
            assert_eq!(Address::of(&args).complete(text), expected, "{flags:?}");
        }
    }

    #[test]
    fn a_stack_that_is_named_is_in_the_region_of_the_file() {
        let args = Only::parse_from(["spotctl", "-c", "a.yaml"]).global;
        let address = Address::of(&args);
        address.is_in("r-1");
        for (text, expected) in [
            ("spotctl down --name w", "spotctl --region r-1 down --name w"),
            ("spotctl status --name w --region r-2", "spotctl status --name w --region r-2"),
            ("spotctl reap --all", "spotctl --config a.yaml --region r-1 reap --all"),
            ("spotctl status --stacks --regions all", "spotctl --config a.yaml status --stacks --regions all"),
            ("spotctl plan", "spotctl --config a.yaml plan"),
        ] {
            assert_eq!(address.complete(text), expected);
        }
    }

    #[test]
    fn a_region_comes_from_flag_then_environment_then_file_then_nowhere() {
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
        let cases: [Case<'_>; 7] = [
            (&["--region", "a-1"], &[("AWS_REGION", "b-1")], Some("c-1"), Some("a-1")),
            (&[], &[("AWS_REGION", "b-1"), ("AWS_DEFAULT_REGION", "d-1")], Some("c-1"), Some("b-1")),
            (&[], &[("AWS_DEFAULT_REGION", "d-1")], Some("c-1"), Some("d-1")),
            (&[], &[("AWS_REGION", "")], Some("c-1"), Some("c-1")),
            (&[], &[], Some("c-1"), Some("c-1")),
            (&[], &[], None, None),
            (&["--sandbox"], &[], None, Some("us-east-1")),
        ];
        for (flags, environment, file, expected) in cases {
            let args = Only::parse_from([&["spotctl"], flags].concat()).global;
            let look_up =
                |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(
                Settings::resolve(&args, look_up, file).region.as_deref(),
                expected,
                "{flags:?} {environment:?}"
            );
        }
    }
}
