//! Rules of `container`: the image, what `docker run` may be told, and which values may stand where.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Rules, file, keys, text_map, within};
use crate::config::diagnostic::Finding;
use crate::config::tree::{Step, dotted};
use crate::spec::{Access, Container, Gpus, KmsKey, Period, Selection, Text, is_key};

const STOP_TIMEOUT: Period = Period::from_secs(90);
/// AWS gives two minutes; what is left is for the notice to be seen and the last word to be written.
const LONGEST_STOP: Period = Period::from_secs(110);
/// Known on the box without a parameter, and no secrets.
const BUILT_IN: [&str; 2] = ["AWS_REGION", "AWS_ACCOUNT_ID"];

/// Where the values of the parameters come from, before the path has its default.
pub(super) struct Values {
    pub(super) file: PathBuf,
    pub(super) file_is_required: bool,
    pub(super) plain: BTreeSet<String>,
    pub(super) kms_key: KmsKey,
}

impl Values {
    /// What stands in an image reference, a queue or a bucket goes into policies and plans, so it is no secret.
    pub(super) fn extend_plain(&mut self, image: Option<&Text>, access: &Access) {
        let buckets = access.buckets.iter().map(|(bucket, _)| bucket);
        let texts = image.into_iter().chain(&access.queues).chain(buckets);
        self.plain.extend(texts.flat_map(Text::keys).map(str::to_owned));
        access.statements.iter().for_each(|statement| keys_within(statement, &mut self.plain));
    }
}

/// The `${X}` of a statement; IAM's own variables, such as `${aws:username}`, are no keys.
fn keys_within(value: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) => {
            let parsed: Option<Text> = text.parse().ok();
            keys.extend(parsed.iter().flat_map(Text::keys).map(str::to_owned));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys_within(item, keys)),
        serde_json::Value::Object(entries) => entries.values().for_each(|item| keys_within(item, keys)),
        _ => {}
    }
}

pub(super) fn container(
    rules: &mut Rules<'_>,
    container: file::Container,
    image: Option<Text>,
    plain: &BTreeSet<String>,
) -> Option<Container> {
    let gpus = match container.gpus {
        None | Some(file::Gpus::Word(file::GpusWord::All)) => Gpus::All,
        Some(file::Gpus::Word(file::GpusWord::None)) => Gpus::None,
        Some(file::Gpus::Count(count)) => Gpus::Count(count),
    };
    let env = text_map(rules, container.env.unwrap_or_default(), &keys(&["container", "env"]));
    for (key, text) in &env {
        check_variable(rules, key, text);
    }
    let parameters = match container.parameters {
        None | Some(file::Keys::All(_)) => Selection::All,
        Some(file::Keys::Listed(list)) => {
            for (index, key) in list.iter().enumerate() {
                let path = within(&keys(&["container", "parameters"]), Step::Index(index));
                rules.parameter_key(key, &path);
                if key.starts_with("DOCKER_") {
                    rules.refuse(&path, obeyed(key));
                }
            }
            Selection::Keys(list.into_iter().collect())
        }
    };
    let args = words(rules, container.args, "args", plain);
    check_args(rules, &args);
    let command = words(rules, container.command, "command", plain).into_iter().map(|(text, _)| text).collect();
    let args = args.into_iter().map(|(text, _)| text).collect();
    let at_stop = keys(&["container", "stop_timeout"]);
    let stop_timeout = rules.parsed(container.stop_timeout.as_deref(), &at_stop).unwrap_or(STOP_TIMEOUT);
    if stop_timeout > LONGEST_STOP {
        let message = format!("{stop_timeout} is too long: AWS takes the machine two minutes after its notice");
        rules.refuse_with(&at_stop, message, "at most 110s");
    }
    Some(Container { image: image?, gpus, env, parameters, args, command, stop_timeout })
}

/// The parts of a reference that Docker would refuse on the box, minutes and cents later.
pub(super) fn check_image(rules: &mut Rules<'_>, image: &Text) {
    let path = keys(&["container", "image"]);
    let text = image.to_string();
    let refuse =
        |rules: &mut Rules<'_>, why: &str| rules.refuse(&path, format!("`{text}` is not an image reference: {why}"));
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return refuse(rules, "it holds no spaces");
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let message = format!("`{text}` is not an image reference: it has no `{scheme}://`");
        return rules.refuse_with(&path, message, format!("did you mean `{rest}`?"));
    }
    if text.starts_with(['-', '/', ':', '@']) || text.ends_with(['/', ':', '@']) {
        return refuse(rules, "a part of it is empty");
    }
    // `${X}` may hold any part of it; what stands there literally is checked.
    let name = text.split('@').next().unwrap_or_default();
    let repository = name.split_once('/').map_or(name, |(_, repository)| repository);
    let repository = repository.split(':').next().unwrap_or_default();
    if image.keys().next().is_none() && repository.contains(|c: char| c.is_ascii_uppercase()) {
        let lower = text.replacen(repository, &repository.to_lowercase(), 1);
        let message = format!("`{text}` is not an image reference: a repository's name is lower case");
        rules.refuse_with(&path, message, format!("did you mean `{lower}`?"));
    }
}

fn check_variable(rules: &mut Rules<'_>, key: &str, text: &Text) {
    let path = within(&keys(&["container", "env"]), Step::KeyItself(key.to_owned()));
    if !is_key(key) {
        return rules.refuse(&path, format!("`{key}` is not a variable: letters, digits and `_`, no digit first"));
    }
    if key.starts_with("DOCKER_") {
        return rules.refuse(&path, obeyed(key));
    }
    // The file stands in a repository, and its text in the user data that everyone who may describe instances reads.
    if ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].contains(&key) && text.keys().next().is_none() {
        let message = format!("`{key}` is a secret, and this file is not the place for it");
        let value = rules.node.place(&within(&keys(&["container", "env"]), Step::Key(key.to_owned())));
        let finding = Finding::new(rules.node.place(&path), dotted(&path), message)
            .hint("the worker has a role (`access`); other secrets go into the `.env`");
        // The log of a pipeline is read by more people than the file.
        rules.findings.push(finding.hide(value));
    }
}

fn obeyed(key: &str) -> String {
    format!("`{key}` cannot be handed on: the `docker` command on the box would obey it itself")
}

/// `args` or `command`, each with its index in the file. They stand in process lists, so a secret may not.
fn words(
    rules: &mut Rules<'_>,
    list: Option<Vec<file::Plain>>,
    name: &str,
    plain: &BTreeSet<String>,
) -> Vec<(Text, usize)> {
    let mut texts = Vec::new();
    for (index, word) in list.unwrap_or_default().into_iter().enumerate() {
        let path = within(&keys(&["container", name]), Step::Index(index));
        let Some(text) = rules.text(&word.0, &path) else { continue };
        for key in text.keys().filter(|key| !plain.contains(*key) && !BUILT_IN.contains(key)) {
            let message = format!("`${{{key}}}` would show a secret: arguments stand in the worker's process list");
            let hint = format!(
                "no secret? add it: parameters: {{plain: [{key}]}}; a secret reaches the container as environment"
            );
            rules.refuse_with(&path, message, hint);
        }
        texts.push((text, index));
    }
    texts
}

/// What spotctl says to `docker run` itself, and what would break a promise if the file said it.
const OURS: [(&str, Option<char>, &str); 13] = [
    ("--name", None, "spotctl names the container"),
    ("--detach", Some('d'), "spotctl always sets it"),
    ("--attach", Some('a'), "nobody is there to attach to it"),
    ("--interactive", Some('i'), "nobody is at its input"),
    ("--tty", Some('t'), "nobody is at its terminal"),
    ("--gpus", None, "write it as `container.gpus`"),
    ("--stop-timeout", None, "write it as `container.stop_timeout`"),
    ("--pull", None, "the image is pulled before, with its own phase"),
    ("--rm", None, "its exit status and its log would be gone before they are reported"),
    (
        "--restart",
        None,
        "a container that ends ends its box, and a loop of restarts would be paid for; retry inside it",
    ),
    ("--env", Some('e'), "write it as `container.env`, or in the `.env` when it is secret"),
    ("--env-file", None, "there is no such file on the box; secrets go into the `.env`"),
    ("--cidfile", None, "spotctl knows the container by its name"),
];

fn check_args(rules: &mut Rules<'_>, args: &[(Text, usize)]) {
    for (text, index) in args {
        let path = within(&keys(&["container", "args"]), Step::Index(*index));
        let word = text.to_string();
        if word == "--" {
            rules.refuse_with(
                &path,
                "`--` ends the options",
                "words for the container itself go into `container.command`",
            );
        }
        let option = word.split_once('=').map_or(word.as_str(), |(option, _)| option);
        let short = short_options(option);
        let ours = OURS
            .iter()
            .find(|(long, letter, _)| *long == option || letter.is_some_and(|letter| short.contains(letter)));
        if let Some((long, _, why)) = ours {
            rules.refuse_with(&path, format!("`{long}` is not for `container.args`"), why);
        }
        if word.starts_with('-') && word.contains(' ') && !word.contains('=') {
            let (option, value) = word.split_once(' ').unwrap_or((&word, ""));
            let message = format!("`{word}` is two arguments in one");
            rules.refuse_with(&path, message, format!("one a list item: [{option}, {value}]"));
        }
    }
}

/// The letters of `-it` or `-e`: those before the first that takes a value, and that one.
fn short_options(option: &str) -> String {
    let Some(letters) = option.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else {
        return String::new();
    };
    let switches = letters.chars().take_while(|letter| "diPqt".contains(*letter)).count();
    letters.chars().take(switches + 1).collect()
}
