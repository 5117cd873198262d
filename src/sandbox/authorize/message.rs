//! The encoded message of EC2's refusals, which `sts:DecodeAuthorizationMessage` reads: who may not do what to which
//! resource, under which conditions, and what denies it.
//!
//! AWS's text is opaque and only AWS can read it. Here it is the JSON itself in base64, compared with nothing and kept
//! nowhere: a refusal leaves no trace in the account.
//!
//! What AWS does oddly: refusals of calls that only read carry none, so of those nothing more can be learned; decoding needs
//! a permission of its own.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::evaluate::Refused;
use crate::sandbox::sts::Caller;

/// In front of the JSON, so that other base64 is no message.
const MARK: &str = "spotctl sandbox ";

/// Whether EC2 encodes its refusals of this action: as far as public reports of its messages show, not those of calls that
/// only read.
#[must_use]
pub fn is_encoded(action: &str) -> bool {
    !action.starts_with("ec2:Describe") && !action.starts_with("ec2:Get")
}

/// The text that EC2 hands out with a refusal.
#[must_use]
pub fn encode(caller: &Caller, action: &str, refused: &Refused) -> String {
    URL_SAFE_NO_PAD.encode(format!("{MARK}{}", told(caller, action, refused)))
}

/// What the text says; nothing when it is no such text.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let message = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    message.strip_prefix(MARK).map(str::to_owned)
}

fn told(caller: &Caller, action: &str, refused: &Refused) -> Value {
    let conditions = refused.context.iter().map(|(key, values)| json!({"key": key, "values": items(values)}));
    let denied_by = refused.denied_by.iter().map(|statement| matched(caller, statement));
    json!({
        "allowed": false,
        "explicitDeny": refused.denied_by.is_some(),
        "matchedStatements": {"items": denied_by.collect::<Vec<_>>()},
        "failures": {"items": []},
        "context": {
            "principal": {"id": caller.user_id, "name": name(&caller.arn), "arn": caller.arn},
            "action": action,
            "resource": refused.resource,
            "conditions": {"items": conditions.collect::<Vec<_>>()},
        },
    })
}

fn matched(caller: &Caller, statement: &Value) -> Value {
    let texts = |member: &str| match &statement[member] {
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    };
    let mut conditions = Vec::new();
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().into_iter().flatten() {
            let values = match values {
                Value::Array(values) => values.clone(),
                one => vec![one.clone()],
            };
            let values: Vec<String> =
                values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
            conditions.push(json!({"operator": operator, "key": key, "values": items(&values)}));
        }
    }
    json!({
        "statementId": statement["Sid"].as_str().unwrap_or_default(),
        "effect": "DENY",
        "principals": items(std::slice::from_ref(&caller.user_id)),
        "principalGroups": {"items": []},
        "actions": items(&texts("Action")),
        "resources": items(&texts("Resource")),
        "conditions": {"items": conditions},
    })
}

fn items(values: &[String]) -> Value {
    json!({"items": values.iter().map(|value| json!({"value": value})).collect::<Vec<_>>()})
}

/// A user's name, or the name of a role's session.
fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
