//! Service Quotas for EC2: how many vCPUs of a class may run, and requests for more.
//!
//! It owns the limits; who counts against them is EC2's. Odd in AWS: a quota that was never raised may have no applied value
//! at all (`NoSuchResourceException`: the default counts), spot and on-demand limits are apart, and a second request is
//! refused while one is open. How a request ends was decided when it was filed ([`fate`]).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::{AwsError, Call};
use super::store::delta::whole;
use super::wire::json;
use super::world::ACCOUNT;

mod fate;

pub use fate::{Change, Ending, Fate};

/// Class of instance types, its spot quota, its on-demand quota.
pub const CLASSES: [(&str, &str, &str); 9] = [
    ("G", "L-3819A6DF", "L-DB2E81BA"),
    ("P", "L-7212CCBC", "L-417A185B"),
    ("P5", "L-C4BD4855", "L-417A185B"),
    ("Standard", "L-34B43A08", "L-1216C47A"),
    ("Inf", "L-B5D1601B", "L-1945791B"),
    ("Trn", "L-6B0D517C", "L-2C3B7624"),
    ("DL", "L-85EED4F7", "L-6E869C2A"),
    ("F", "L-88CF9481", "L-74FC7D96"),
    ("X", "L-E3A00192", "L-7295265B"),
];

/// Code, name, default.
const QUOTAS: [(&str, &str, f64); 17] = [
    ("L-3819A6DF", "All G and VT Spot Instance Requests", 0.0),
    ("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", 0.0),
    ("L-C4BD4855", "All P5 Spot Instance Requests", 0.0),
    ("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5.0),
    ("L-B5D1601B", "All Inf Spot Instance Requests", 0.0),
    ("L-6B0D517C", "All Trn Spot Instance Requests", 0.0),
    ("L-85EED4F7", "All DL Spot Instance Requests", 0.0),
    ("L-88CF9481", "All F Spot Instance Requests", 0.0),
    ("L-E3A00192", "All X Spot Instance Requests", 0.0),
    ("L-DB2E81BA", "Running On-Demand G and VT instances", 0.0),
    ("L-417A185B", "Running On-Demand P instances", 0.0),
    ("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5.0),
    ("L-1945791B", "Running On-Demand Inf instances", 0.0),
    ("L-2C3B7624", "Running On-Demand Trn instances", 0.0),
    ("L-6E869C2A", "Running On-Demand DL instances", 0.0),
    ("L-74FC7D96", "Running On-Demand F instances", 0.0),
    ("L-7295265B", "Running On-Demand X instances", 0.0),
];

/// The only service the sandbox has quotas for.
const SERVICE: &str = "ec2";
const SERVICE_NAME: &str = "Amazon Elastic Compute Cloud (Amazon EC2)";

/// The quotas of one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Quota code to applied value; what is missing here has its default.
    pub applied: BTreeMap<String, f64>,
    /// In the order they came.
    pub requests: Vec<Change>,
}

whole!(State);

impl Default for State {
    fn default() -> Self {
        // An account that can start one GPU worker, else nobody could try the tool without filing a request first.
        let applied = [("L-3819A6DF", 64.0), ("L-34B43A08", 5.0)];
        Self { applied: applied.map(|(code, value)| (code.to_owned(), value)).into(), requests: Vec::new() }
    }
}

/// What counts now: the applied value, else the default, else (a code the sandbox does not know) nothing.
#[must_use]
pub fn limit(state: &State, code: &str, now: Timestamp) -> f64 {
    applied(state, code, now).or_else(|| default(code)).unwrap_or(0.0)
}

/// Writes what has been granted by now into `applied`. Whoever sets `applied` by hand calls this first, else an older
/// grant would overrule it.
pub fn settle(state: &mut State, now: Timestamp) {
    for change in state.requests.iter_mut().filter(|change| change.is_due(now)) {
        change.is_settled = true;
        state.applied.insert(change.code.clone(), change.desired);
    }
}

fn applied(state: &State, code: &str, now: Timestamp) -> Option<f64> {
    let due = state.requests.iter().rev().find(|change| change.code == code && change.is_due(now));
    due.map(|change| change.desired).or_else(|| state.applied.get(code).copied())
}

fn default(code: &str) -> Option<f64> {
    QUOTAS.iter().find(|(known, ..)| *known == code).map(|(_, _, value)| *value)
}

/// Answers one Service Quotas call.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, body: &[u8]) -> Result<Value, AwsError> {
    let now = call.now;
    settle(&mut call.world.region(&call.region).quotas, now);
    match call.operation.as_str() {
        "GetServiceQuota" => get(call, &json::input(body)?),
        "GetAWSDefaultServiceQuota" => get_default(call, &json::input(body)?),
        "ListServiceQuotas" => list(call, &json::input(body)?),
        "ListAWSDefaultServiceQuotas" => list_defaults(call, &json::input(body)?),
        "RequestServiceQuotaIncrease" => request(call, &json::input(body)?),
        "ListRequestedServiceQuotaChangeHistory" => history(call, &json::input(body)?),
        "ListRequestedServiceQuotaChangeHistoryByQuota" => history_by_quota(call, &json::input(body)?),
        "GetRequestedServiceQuotaChange" => get_change(call, &json::input(body)?),
        other => Err(AwsError::unknown_operation(other)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct QuotaInput {
    service_code: String,
    quota_code: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListInput {
    service_code: String,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct IncreaseInput {
    service_code: String,
    quota_code: String,
    desired_value: f64,
    /// Whether a person may look at it; the sandbox has none.
    #[serde(rename = "SupportCaseAllowed")]
    _support_case_allowed: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HistoryInput {
    service_code: Option<String>,
    status: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct QuotaHistoryInput {
    service_code: String,
    quota_code: String,
    status: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChangeInput {
    request_id: String,
}

fn get(call: &mut Call<'_>, input: &QuotaInput) -> Result<Value, AwsError> {
    known(&input.service_code, &input.quota_code)?;
    let state = &call.world.region(&call.region).quotas;
    let value = state.applied.get(&input.quota_code).copied().ok_or_else(no_such_resource)?;
    Ok(json!({ "Quota": quota(&call.region, &input.quota_code, value, true) }))
}

fn get_default(call: &Call<'_>, input: &QuotaInput) -> Result<Value, AwsError> {
    let value = known(&input.service_code, &input.quota_code)?;
    Ok(json!({ "Quota": quota(&call.region, &input.quota_code, value, false) }))
}

fn list(call: &mut Call<'_>, input: &ListInput) -> Result<Value, AwsError> {
    service(&input.service_code)?;
    let state = &call.world.region(&call.region).quotas;
    // Only codes that AWS knows: the weather may write others.
    let known = QUOTAS.iter().filter_map(|(code, ..)| Some((code, *state.applied.get(*code)?)));
    let quotas = known.map(|(code, value)| quota(&call.region, code, value, true)).collect();
    page("Quotas", quotas, input.max_results, input.next_token.as_deref())
}

fn list_defaults(call: &Call<'_>, input: &ListInput) -> Result<Value, AwsError> {
    service(&input.service_code)?;
    let quotas = QUOTAS.iter().map(|(code, _, value)| quota(&call.region, code, *value, false)).collect();
    page("Quotas", quotas, input.max_results, input.next_token.as_deref())
}

fn request(call: &mut Call<'_>, input: &IncreaseInput) -> Result<Value, AwsError> {
    known(&input.service_code, &input.quota_code)?;
    let (now, code) = (call.now, &input.quota_code);
    let state = &call.world.region(&call.region).quotas;
    if state.requests.iter().any(|change| change.code == *code && change.is_open(now)) {
        return Err(AwsError::new(
            "ResourceAlreadyExistsException",
            "Only one open service quota increase request is allowed per quota.",
        ));
    }
    if !(0.0..=1e10).contains(&input.desired_value) || input.desired_value <= limit(state, code, now) {
        return Err(AwsError::new(
            "IllegalArgumentException",
            "You must provide a quota value greater than the current quota value.",
        ));
    }
    let change = Change {
        id: call.world.new_id("quota"),
        code: code.clone(),
        desired: input.desired_value,
        created_at: now.as_second(),
        is_settled: false,
        fate: call.world.weather.quota_answer,
    };
    let answer = json!({ "RequestedQuota": described(&call.region, &change, now) });
    call.world.region(&call.region).quotas.requests.push(change);
    Ok(answer)
}

fn history(call: &mut Call<'_>, input: &HistoryInput) -> Result<Value, AwsError> {
    if let Some(code) = &input.service_code {
        service(code)?;
    }
    changes(call, None, input.status.as_deref(), input.max_results, input.next_token.as_deref())
}

fn history_by_quota(call: &mut Call<'_>, input: &QuotaHistoryInput) -> Result<Value, AwsError> {
    known(&input.service_code, &input.quota_code)?;
    let (status, token) = (input.status.as_deref(), input.next_token.as_deref());
    changes(call, Some(&input.quota_code), status, input.max_results, token)
}

fn get_change(call: &mut Call<'_>, input: &ChangeInput) -> Result<Value, AwsError> {
    let state = &call.world.region(&call.region).quotas;
    let change = state.requests.iter().find(|change| change.id == input.request_id).ok_or_else(no_such_resource)?;
    Ok(json!({ "RequestedQuota": described(&call.region, change, call.now) }))
}

fn changes(
    call: &mut Call<'_>,
    code: Option<&str>,
    status: Option<&str>,
    most: Option<i64>,
    token: Option<&str>,
) -> Result<Value, AwsError> {
    let statuses = ["PENDING", "CASE_OPENED", "APPROVED", "DENIED", "CASE_CLOSED", "NOT_APPROVED", "INVALID_REQUEST"];
    if let Some(unknown) = status.filter(|status| !statuses.contains(status)) {
        return Err(AwsError::new("IllegalArgumentException", format!("Invalid status {unknown}")));
    }
    let now = call.now;
    let state = &call.world.region(&call.region).quotas;
    let found = state.requests.iter().rev().filter(|change| {
        code.is_none_or(|code| change.code == code) && status.is_none_or(|status| change.status(now) == status)
    });
    page("RequestedQuotas", found.map(|change| described(&call.region, change, now)).collect(), most, token)
}

fn service(code: &str) -> Result<(), AwsError> {
    if code == SERVICE { Ok(()) } else { Err(no_such_resource()) }
}

/// The default of a quota that exists.
fn known(service_code: &str, code: &str) -> Result<f64, AwsError> {
    service(service_code)?;
    default(code).ok_or_else(no_such_resource)
}

fn no_such_resource() -> AwsError {
    AwsError::new("NoSuchResourceException", "The request failed because the specified service quota does not exist.")
}

fn name_of(code: &str) -> &str {
    QUOTAS.iter().find(|(known, ..)| *known == code).map_or(code, |(_, name, _)| name)
}

fn quota(region: &str, code: &str, value: f64, is_applied: bool) -> Value {
    let mut quota = json!({
        "ServiceCode": SERVICE,
        "ServiceName": SERVICE_NAME,
        "QuotaArn": arn(region, code, is_applied),
        "QuotaCode": code,
        "QuotaName": name_of(code),
        "Value": value,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
    });
    if is_applied {
        quota["QuotaAppliedAtLevel"] = json!("ACCOUNT");
    }
    quota
}

/// Defaults belong to no account.
fn arn(region: &str, code: &str, is_applied: bool) -> String {
    format!("arn:aws:servicequotas:{region}:{}:{SERVICE}/{code}", if is_applied { ACCOUNT } else { "" })
}

fn described(region: &str, change: &Change, now: Timestamp) -> Value {
    let status = change.status(now);
    let mut described = json!({
        "Id": change.id,
        "ServiceCode": SERVICE,
        "ServiceName": SERVICE_NAME,
        "QuotaCode": change.code,
        "QuotaName": name_of(&change.code),
        "DesiredValue": change.desired,
        "Status": status,
        "Created": change.created_at,
        "LastUpdated": change.updated_at(now),
        "Requester": json!({"accountId": ACCOUNT, "callerArn": format!("arn:aws:iam::{ACCOUNT}:user/sandbox")}).to_string(),
        "QuotaArn": arn(region, &change.code, true),
        "GlobalQuota": false,
        "Unit": "None",
        "QuotaRequestedAtLevel": "ACCOUNT",
    });
    if status != "PENDING" {
        described["CaseId"] = json!(change.created_at.to_string());
    }
    described
}

fn page(name: &str, items: Vec<Value>, most: Option<i64>, token: Option<&str>) -> Result<Value, AwsError> {
    let most = usize::try_from(most.unwrap_or(100)).ok().filter(|most| (1..=100).contains(most)).ok_or_else(|| {
        AwsError::new("IllegalArgumentException", "Value at 'maxResults' failed to satisfy constraint: 1 to 100")
    })?;
    let start = match token {
        None => 0,
        Some(token) => offset(token).ok_or_else(|| {
            AwsError::new("InvalidPaginationTokenException", "Invalid pagination token was specified.")
        })?,
    };
    let end = start.saturating_add(most);
    let next = (end < items.len()).then(|| STANDARD.encode(end.to_string()));
    let mut answer = Map::new();
    answer.insert(name.to_owned(), items.into_iter().skip(start).take(most).collect());
    if let Some(next) = next {
        answer.insert("NextToken".to_owned(), next.into());
    }
    Ok(Value::Object(answer))
}

fn offset(token: &str) -> Option<usize> {
    String::from_utf8(STANDARD.decode(token).ok()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
