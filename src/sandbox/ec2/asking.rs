//! For the tests: EC2 asked as a client asks, in the default region of a fresh account.

use jiff::Timestamp;

use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::ec2;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::node;
use crate::sandbox::world::World;

pub(super) const REGION: &str = "us-east-1";
pub(in crate::sandbox) const START: i64 = 1_800_000_000;
/// A Deep Learning image, as a launch may name it.
pub(in crate::sandbox) const IMAGE: &str =
    "resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id";

/// The answer as XML; a parameter that nobody read is the test's mistake.
pub(super) fn ask(world: &mut World, operation: &str, input: &str) -> Result<String, AwsError> {
    ask_at(world, START, operation, input)
}

/// The same at this second of the epoch.
pub(super) fn ask_at(world: &mut World, second: i64, operation: &str, input: &str) -> Result<String, AwsError> {
    let now = Timestamp::from_second(second).unwrap();
    let mut call = Call { world, region: REGION.to_owned(), now, operation: operation.to_owned() };
    let query = Query::parse(input.as_bytes());
    let answer = ec2::handle(&mut call, &query)?;
    assert_eq!(query.unread(), None, "{operation} {input}");
    Ok(String::from_utf8(node("R", answer).document(None)).unwrap())
}

/// The error's code, or `fine`.
pub(super) fn code(answer: Result<String, AwsError>) -> String {
    answer.map_or_else(|error| error.code, |_| "fine".to_owned())
}

/// The text of the first element of this name.
pub(super) fn first(answer: &str, name: &str) -> String {
    let rest = answer.split(&format!("<{name}>")).nth(1).unwrap_or_else(|| panic!("no {name} in {answer}"));
    rest.split('<').next().unwrap_or_default().to_owned()
}
