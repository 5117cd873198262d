//! IAM's evaluation of identity-based policies: an explicit `Deny` wins, else each resource needs an `Allow`.
//!
//! Pure: it owns the grammar of policies and what a statement matches. It must not know requests, services or the account.
//! It is strict: an element, an operator or a value that it does not understand is an error of the whole policy, never a
//! statement that is skipped.
//!
//! What IAM does oddly: names of actions and of condition keys have no case, everything else has; a wildcard in an ARN does
//! not reach beyond its colon, and an ARN that ends early is wild from there on; a key that is not there makes a negated
//! operator and `ForAllValues` true; a variable that is not there equals nothing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::{Map, Value};

/// What is known of a request and of one resource: condition keys and their values. A key has no case; how it was spelled
/// first is kept for who reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, (String, Vec<String>)>);

impl Context {
    /// Adds a value to a key.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        let found = self.0.entry(key.to_ascii_lowercase()).or_insert_with(|| (key.to_owned(), Vec::new()));
        found.1.push(value.into());
    }

    /// The same with another value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// Adds all that another one says.
    pub fn extend(&mut self, other: &Self) {
        for (key, (spelled, values)) in &other.0 {
            let found = self.0.entry(key.clone()).or_insert_with(|| (spelled.clone(), Vec::new()));
            found.1.extend(values.iter().cloned());
        }
    }

    /// Each key as it was spelled, and its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.values().map(|(spelled, values)| (spelled.as_str(), values.as_slice()))
    }

    fn get(&self, key: &str) -> &[String] {
        self.0.get(&key.to_ascii_lowercase()).map_or(&[], |(_, values)| values.as_slice())
    }
}

/// Whether an action may be done to all of these resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Such as `ec2:CreateTags`.
    pub action: String,
    /// ARNs, or `*` where an action has no resource, each with what is known about it; never none.
    pub resources: Vec<(String, Context)>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The first resource that it may not be done to.
    pub resource: String,
    /// What is known of it.
    pub context: Context,
    /// The statement that denies it; none: no statement allows it.
    pub denied_by: Option<Value>,
}

/// What policies say to one action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `allowed`, `explicitDeny` or `implicitDeny`.
    pub decision: &'static str,
    /// The statements that decide: which of the policies, and the statement as it is written there.
    pub statements: Vec<(usize, Value)>,
    /// Condition keys that statements about this action and resource ask for and nobody has said anything of.
    pub missing: BTreeSet<String>,
}

/// Decides one action on one resource.
#[must_use]
pub fn decide(policies: &[Policy], action: &str, resource: &str, context: &Context) -> Verdict {
    let statements = || {
        let numbered = policies.iter().enumerate();
        numbered.flat_map(|(index, policy)| policy.statements.iter().map(move |statement| (index, statement)))
    };
    let missing = statements()
        .filter(|(_, statement)| statement.is_about(action, resource, context))
        .flat_map(|(_, statement)| &statement.conditions)
        .filter(|condition| condition.test != Test::Null && context.get(&condition.key).is_empty())
        .map(|condition| condition.key.clone());
    let missing = missing.collect();
    for (is_deny, decision) in [(true, "explicitDeny"), (false, "allowed")] {
        let found: Vec<(usize, Value)> = statements()
            .filter(|(_, statement)| statement.is_deny == is_deny && statement.matches(action, resource, context))
            .map(|(index, statement)| (index, statement.source.clone()))
            .collect();
        if !found.is_empty() {
            return Verdict { decision, statements: found, missing };
        }
    }
    Verdict { decision: "implicitDeny", statements: Vec::new(), missing }
}

/// Evaluates.
///
/// # Errors
/// It may not be done.
pub fn evaluate(policies: &[Policy], question: &Question) -> Result<(), Refused> {
    let mut implicit = None;
    for (resource, context) in &question.resources {
        let verdict = decide(policies, &question.action, resource, context);
        let refused = |denied_by| Refused { resource: resource.clone(), context: context.clone(), denied_by };
        match verdict.decision {
            "allowed" => {}
            // A denial wins, also over what nobody allows before it.
            "explicitDeny" => return Err(refused(verdict.statements.into_iter().next().map(|(_, source)| source))),
            _ if implicit.is_none() => implicit = Some(refused(None)),
            _ => {}
        }
    }
    implicit.map_or(Ok(()), Err)
}

/// A policy document.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    is_deny: bool,
    actions: Vec<Template>,
    resources: Vec<Template>,
    conditions: Vec<Condition>,
    /// As it is written.
    source: Value,
}

impl Statement {
    fn matches(&self, action: &str, resource: &str, context: &Context) -> bool {
        self.is_about(action, resource, context) && self.conditions.iter().all(|condition| condition.holds(context))
    }

    fn is_about(&self, action: &str, resource: &str, context: &Context) -> bool {
        self.actions.iter().any(|name| name.fill(context).is_some_and(|name| like(&name, &action.to_ascii_lowercase())))
            && self.resources.iter().any(|arn| arn.fill(context).is_some_and(|arn| resource_like(&arn, resource)))
    }
}

#[derive(Debug, Clone)]
struct Condition {
    over: Over,
    is_optional: bool,
    test: Test,
    is_negated: bool,
    key: String,
    values: Vec<Template>,
}

/// Which of a key's values have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The key is meant to have one value.
    One,
    /// `ForAllValues`.
    All,
    /// `ForAnyValue`.
    Any,
}

/// How a value is held against one of the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Text,
    AnyCase,
    Like,
    Arn,
    Bool,
    Number(&'static [Ordering]),
    Null,
}

/// Name, test, whether it is negated.
const OPERATORS: [(&str, Test, bool); 18] = [
    ("StringEquals", Test::Text, false),
    ("StringNotEquals", Test::Text, true),
    ("StringEqualsIgnoreCase", Test::AnyCase, false),
    ("StringNotEqualsIgnoreCase", Test::AnyCase, true),
    ("StringLike", Test::Like, false),
    ("StringNotLike", Test::Like, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("Bool", Test::Bool, false),
    ("NumericEquals", Test::Number(&[Ordering::Equal]), false),
    ("NumericNotEquals", Test::Number(&[Ordering::Equal]), true),
    ("NumericLessThan", Test::Number(&[Ordering::Less]), false),
    ("NumericLessThanEquals", Test::Number(&[Ordering::Less, Ordering::Equal]), false),
    ("NumericGreaterThan", Test::Number(&[Ordering::Greater]), false),
    ("NumericGreaterThanEquals", Test::Number(&[Ordering::Greater, Ordering::Equal]), false),
    ("Null", Test::Null, false),
];

impl Condition {
    fn holds(&self, context: &Context) -> bool {
        let found = context.get(&self.key);
        let filled = || self.values.iter().filter_map(|value| value.fill(context));
        if self.test == Test::Null {
            return filled().any(|wanted| plain(&wanted).eq_ignore_ascii_case("true") == found.is_empty());
        }
        if found.is_empty() {
            return self.is_optional
                || match self.over {
                    Over::One => self.is_negated,
                    Over::All => true,
                    Over::Any => false,
                };
        }
        let fits = |value: &String| filled().any(|wanted| self.test.fits(&wanted, value)) != self.is_negated;
        match (self.over, self.is_negated) {
            (Over::All, _) | (Over::One, true) => found.iter().all(fits),
            (Over::Any, _) | (Over::One, false) => found.iter().any(fits),
        }
    }
}

impl Test {
    fn fits(self, wanted: &[Letter], value: &str) -> bool {
        match self {
            Self::Text => plain(wanted) == value,
            Self::AnyCase => plain(wanted).to_lowercase() == value.to_lowercase(),
            Self::Bool => plain(wanted).eq_ignore_ascii_case(value),
            Self::Like => like(wanted, value),
            Self::Arn => {
                let (wanted, value) = (parts(wanted), value.splitn(6, ':').collect::<Vec<_>>());
                wanted.len() == value.len() && wanted.iter().zip(value).all(|(wanted, value)| like(wanted, value))
            }
            Self::Number(orders) => {
                let order = value.parse::<f64>().ok().zip(plain(wanted).parse().ok());
                order
                    .and_then(|(value, wanted)| value.partial_cmp(&wanted))
                    .is_some_and(|order| orders.contains(&order))
            }
            // Asks for no value.
            Self::Null => false,
        }
    }
}

/// A text of a policy: wildcards and, from the version of 2012 on, variables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    text: String,
    has_variables: bool,
}

/// A letter of a filled in text, and whether `*` or `?` are wildcards there: what came out of a variable is none.
type Letter = (char, bool);

impl Template {
    /// `None`: a variable has no value.
    fn fill(&self, context: &Context) -> Option<Vec<Letter>> {
        let mut letters = Vec::new();
        let mut rest = self.text.as_str();
        while let Some((before, after)) = rest.split_once("${").filter(|_| self.has_variables) {
            let (variable, after) = after.split_once('}')?;
            letters.extend(before.chars().map(|letter| (letter, true)));
            letters.extend(value_of(variable, context)?.chars().map(|letter| (letter, false)));
            rest = after;
        }
        letters.extend(rest.chars().map(|letter| (letter, true)));
        Some(letters)
    }
}

/// `key`, `key, 'default'`, or one of the letters that would else mean something.
fn value_of<'a>(variable: &'a str, context: &'a Context) -> Option<&'a str> {
    if matches!(variable, "*" | "?" | "$") {
        return Some(variable);
    }
    let (key, default) = match variable.split_once(',') {
        Some((key, default)) => (key, default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''))),
        None => (variable, None),
    };
    match context.get(key.trim()) {
        // What has several values has no place in a text.
        [one] => Some(one),
        _ => default,
    }
}

fn plain(letters: &[Letter]) -> String {
    letters.iter().map(|(letter, _)| letter).collect()
}

/// The parts of an ARN: six at most, for the last one may have colons of its own.
fn parts(letters: &[Letter]) -> Vec<&[Letter]> {
    letters.splitn(6, |(letter, _)| *letter == ':').collect()
}

/// Whether a resource of a policy means this one.
fn resource_like(wanted: &[Letter], resource: &str) -> bool {
    if plain(wanted) == "*" {
        return true;
    }
    let (wanted, resource) = (parts(wanted), resource.splitn(6, ':').collect::<Vec<_>>());
    wanted.len() <= resource.len() && wanted.iter().zip(resource).all(|(wanted, part)| like(wanted, part))
}

/// `*` stands for any letters, `?` for any one.
fn like(wanted: &[Letter], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match wanted.get(at) {
            Some(('*', true)) => {
                star = Some((at, seen));
                at += 1;
            }
            Some((letter, is_wild)) if *letter == text[seen] || (*is_wild && *letter == '?') => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((place, reach)) = star else { return false };
                star = Some((place, reach + 1));
                at = place + 1;
                seen = reach + 1;
            }
        }
    }
    wanted[at..].iter().all(|letter| *letter == ('*', true))
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let document: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let document = document.as_object().ok_or("it is no JSON object")?;
        only(document, &["Version", "Id", "Statement"])?;
        let has_variables = match document.get("Version").map(Value::as_str) {
            Some(Some("2012-10-17")) => true,
            None | Some(Some("2008-10-17")) => false,
            Some(_) => return Err("its Version is neither 2012-10-17 nor 2008-10-17".to_owned()),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.as_slice(),
            Some(statement) => std::slice::from_ref(statement),
            None => return Err("it has no Statement".to_owned()),
        };
        let statements = statements.iter().map(|statement| read_statement(statement, has_variables));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let unknown = object.keys().find(|key| !known.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| Err(format!("its element {key} is not evaluated here")))
}

fn read_statement(statement: &Value, has_variables: bool) -> Result<Statement, String> {
    let source = statement.clone();
    let statement = statement.as_object().ok_or("a statement of it is no JSON object")?;
    only(statement, &["Sid", "Effect", "Action", "Resource", "Condition"])?;
    let is_deny = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => false,
        Some("Deny") => true,
        _ => return Err("an Effect of it is neither Allow nor Deny".to_owned()),
    };
    let of = |name: &str, has_variables: bool| match statement.get(name) {
        Some(value) => templates(value, has_variables),
        None => Err(format!("a statement of it has no {name}")),
    };
    let mut actions = of("Action", false)?;
    for action in &mut actions {
        action.text.make_ascii_lowercase();
    }
    let mut conditions = Vec::new();
    if let Some(condition) = statement.get("Condition") {
        let malformed = || "a Condition of it is no JSON object".to_owned();
        for (operator, keys) in condition.as_object().ok_or_else(malformed)? {
            for (key, values) in keys.as_object().ok_or_else(malformed)? {
                conditions.push(read_condition(operator, key, templates(values, has_variables)?)?);
            }
        }
    }
    Ok(Statement { is_deny, actions, resources: of("Resource", has_variables)?, conditions, source })
}

fn read_condition(operator: &str, key: &str, values: Vec<Template>) -> Result<Condition, String> {
    let (over, name) = match operator.split_once(':') {
        Some(("ForAllValues", name)) => (Over::All, name),
        Some(("ForAnyValue", name)) => (Over::Any, name),
        _ => (Over::One, operator),
    };
    let (name, is_optional) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
    let found = OPERATORS.iter().find(|(known, ..)| *known == name);
    let found = found.filter(|(_, test, _)| *test != Test::Null || name == operator);
    let (_, test, is_negated) = *found.ok_or_else(|| format!("its operator {operator} is not evaluated here"))?;
    Ok(Condition { over, is_optional, test, is_negated, key: key.to_owned(), values })
}

/// One value or a list of them.
fn templates(value: &Value, has_variables: bool) -> Result<Vec<Template>, String> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        other => Err(format!("its value {other} is no text")),
    };
    values.iter().map(|value| Ok(Template { text: text(value)?, has_variables })).collect()
}

#[cfg(test)]
mod tests;
