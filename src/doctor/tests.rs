use super::*;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_and_skip_leave_what_they_say_in_the_order_of_the_list() {
    for (only, skip, left) in [
        (names(&["quota", "clock"]), names(&[]), vec!["clock", "quota"]),
        (names(&["quota", "clock"]), names(&["clock"]), vec!["quota"]),
    ] {
        assert_eq!(select(&only, &skip).unwrap(), left);
    }
    assert_eq!(select(&[], &[]).unwrap(), NAMES);
    assert_eq!(select(&[], &names(&["orphans"])).unwrap().len(), NAMES.len() - 1);
    assert!(select(&names(&["quota"]), &names(&["quota"])).is_err());
}

#[test]
fn a_name_that_is_none_is_a_mistake_with_a_suggestion_and_the_list() {
    for (only, skip) in [(names(&["qouta"]), names(&[])), (names(&[]), names(&["quotas"]))] {
        let error = select(&only, &skip).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert_eq!(error.hints[0], "did you mean quota");
        assert!(error.hints[1].contains("credentials, clock"), "{}", error.hints[1]);
    }
}

#[test]
fn a_read_that_failed_hides_or_fails_by_whose_fault_it_is() {
    let error = |kind, code: Option<&str>, message: &str| {
        let mut error = Error::new(kind, message).hint("do this");
        error.code = code.map(str::to_owned);
        error.operation = Some("ListGrants");
        error
    };
    for (error, status, evidence) in [
        (error(Kind::Access, None, "no AWS credentials"), Status::Skip, "needs credentials"),
        (
            error(Kind::Access, Some("ExpiredToken"), "x"),
            Status::Skip,
            "needs credentials that AWS accepts (ExpiredToken)",
        ),
        (error(Kind::Access, Some("AccessDenied"), "x"), Status::Skip, "not permitted: kms:ListGrants"),
        (
            error(Kind::Access, Some("AccessDenied"), "u is not authorized to perform: iam:GetRole on resource: r"),
            Status::Skip,
            "not permitted: iam:GetRole",
        ),
        (error(Kind::Usage, None, "no VPC"), Status::Fail, "no VPC"),
        (error(Kind::Aws, Some("InternalError"), "it broke"), Status::Fail, "it broke"),
    ] {
        let verdict = Verdict::unread(&error);
        assert_eq!((verdict.status, verdict.evidence.as_str()), (status, evidence));
    }
}

#[test]
fn of_several_verdicts_the_worst_counts_and_nothing_seen_is_lost() {
    let verdicts = [Verdict::ok("a"), Verdict::fail("b", "mend b"), Verdict::warn("c", "mend b")];
    assert_eq!(Verdict::all(verdicts), Some(Verdict::fail("a; b; c", "mend b")));
    assert_eq!(Verdict::all([Verdict::ok("a"), Verdict::skip("b")]).map(|all| all.status), Some(Status::Skip));
    assert_eq!(Verdict::all([]), None);
}
