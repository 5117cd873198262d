//! Rules of `access`, and the forms of AWS's names for what a role may touch.

use super::{Rules, file, is_digits, keys, within};
use crate::config::tree::Step;
use crate::spec::{Access, BucketAccess, Text};

pub(super) fn access(rules: &mut Rules<'_>, access: file::Access) -> Access {
    let queues = queues(rules, access.queues.unwrap_or_default());
    let mut buckets = Vec::new();
    for (name, wanted) in access.buckets.unwrap_or_default() {
        let path = within(&keys(&["access", "buckets"]), Step::KeyItself(name.clone()));
        let Some(bucket) = rules.text(&name, &path) else { continue };
        if bucket.keys().next().is_none() {
            check_bucket(rules, &name, &path);
        }
        let wanted = match wanted {
            file::BucketAccess::Read => BucketAccess::Read,
            file::BucketAccess::Write => BucketAccess::Write,
            file::BucketAccess::ReadWrite => BucketAccess::ReadWrite,
        };
        buckets.push((bucket, wanted));
    }
    let launchers = access.launchers.unwrap_or_default();
    for (index, role) in launchers.iter().enumerate() {
        if !is_role(role) {
            let path = within(&keys(&["access", "launchers"]), Step::Index(index));
            let message = format!("`{role}` is not a role: its name, or `arn:aws:iam::123456789012:role/NAME`");
            rules.refuse(&path, message);
        }
    }
    let statements = access.statements.unwrap_or_default();
    for (index, statement) in statements.iter().enumerate() {
        check_statement(rules, statement, &within(&keys(&["access", "statements"]), Step::Index(index)));
    }
    Access {
        queues,
        buckets,
        session_manager: access.session_manager.unwrap_or(true),
        launchers,
        // A statement is plain data with text keys, which JSON can always hold.
        statements: statements.iter().filter_map(|statement| serde_json::to_value(statement).ok()).collect(),
    }
}

fn queues(rules: &mut Rules<'_>, list: Vec<String>) -> Vec<Text> {
    let mut queues = Vec::new();
    for (index, queue) in list.into_iter().enumerate() {
        let path = within(&keys(&["access", "queues"]), Step::Index(index));
        let Some(text) = rules.text(&queue, &path) else { continue };
        let is_arn =
            queue.starts_with("arn:") && queue.split(':').nth(2) == Some("sqs") && queue.split(':').count() == 6;
        let url = queue.strip_prefix("https://").or_else(|| queue.strip_prefix("http://"));
        let is_url = url.is_some_and(|url| url.split('/').count() >= 3 && !url.ends_with('/'));
        if text.keys().next().is_none() && !is_arn && !is_url {
            let message = format!("`{queue}` is not a queue: its URL or its ARN");
            rules.refuse_with(&path, message, "such as https://sqs.eu-west-1.amazonaws.com/123456789012/jobs");
        }
        queues.push(text);
    }
    queues
}

/// S3's own rules for a general purpose bucket; the policy takes its ARN too.
fn check_bucket(rules: &mut Rules<'_>, bucket: &str, path: &[Step]) {
    if bucket.starts_with("arn:") && bucket.split(':').nth(2) == Some("s3") && !bucket.contains('*') {
        return;
    }
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    let is_name = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        && bucket.split('.').all(is_part);
    if is_name {
        return;
    }
    let message = format!("`{bucket}` is not a bucket's name: 3 to 63 of a-z, 0-9, `-` and `.`");
    match bucket.strip_prefix("s3://").and_then(|rest| rest.split('/').next()) {
        Some(name) => rules.refuse_with(path, message, format!("did you mean `{name}`?")),
        None => rules.refuse(path, message),
    }
}

/// `NAME`, or `arn:aws:iam::ACCOUNT:role/PATH/NAME` in any partition.
fn is_role(role: &str) -> bool {
    let is_name = |name: &str| {
        (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    };
    let parts: Vec<&str> = role.splitn(6, ':').collect();
    match parts[..] {
        ["arn", partition, "iam", "", account, resource] => {
            let name = resource.strip_prefix("role/").and_then(|path| path.rsplit('/').next());
            partition.starts_with("aws") && account.len() == 12 && is_digits(account) && name.is_some_and(is_name)
        }
        _ => is_name(role),
    }
}

fn check_statement(rules: &mut Rules<'_>, statement: &file::Statement, path: &[Step]) {
    let pairs = [
        ("Action", statement.action.is_some(), statement.not_action.is_some()),
        ("Resource", statement.resource.is_some(), statement.not_resource.is_some()),
    ];
    for (name, is, is_not) in pairs {
        // What was refused already is not missing besides.
        let at = |name: &str| within(path, Step::Key(name.to_owned()));
        if rules.was_refused(&at(name)) || rules.was_refused(&at(&format!("Not{name}"))) {
            continue;
        }
        match (is, is_not) {
            (false, false) => rules.refuse(path, format!("a statement needs `{name}` (or `Not{name}`)")),
            (true, true) => rules.refuse(path, format!("a statement has `{name}` or `Not{name}`, not both")),
            _ => {}
        }
    }
    if statement.sid.as_ref().is_some_and(|sid| !sid.chars().all(|c| c.is_ascii_alphanumeric())) {
        rules.refuse(&within(path, Step::Key("Sid".to_owned())), "a `Sid` holds letters and digits only");
    }
}

/// An alias, a key's id (a multi-Region one begins with `mrk-`), or the ARN of either.
pub(super) fn is_kms_key(key: &str) -> bool {
    let is_hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_id = |id: &str| {
        let lens = [8, 4, 4, 4, 12];
        let parts: Vec<&str> = id.split('-').collect();
        parts.len() == lens.len() && parts.iter().zip(lens).all(|(part, len)| is_hex(part, len))
            || id.strip_prefix("mrk-").is_some_and(|rest| is_hex(rest, 32))
    };
    let is_alias = |alias: &str| {
        alias.strip_prefix("alias/").is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c))
        })
    };
    let parts: Vec<&str> = key.splitn(6, ':').collect();
    match parts[..] {
        ["arn", partition, "kms", region, account, resource] => {
            partition.starts_with("aws")
                && !region.is_empty()
                && account.len() == 12
                && is_digits(account)
                && (is_alias(resource) || resource.strip_prefix("key/").is_some_and(is_id))
        }
        _ => is_alias(key) || is_id(key),
    }
}
