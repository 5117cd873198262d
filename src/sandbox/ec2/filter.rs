//! Filters and pages, as every Describe operation of EC2 has them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::sandbox::call::AwsError;
use crate::sandbox::wire::query::Query;

/// The `Filter` parameter: all must hold, each for one of its values.
#[derive(Debug, Clone, Default)]
pub struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads them.
    ///
    /// # Errors
    /// A filter without a name.
    pub fn read(input: &Query) -> Result<Self, AwsError> {
        let filters = input.structures("Filter");
        filters
            .into_iter()
            .map(|filter| Ok((filter.required("Name")?, filter.list("Value"))))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether an object passes; `values` answers what it has under a filter's name, `None` for a name that this operation
    /// does not know. `tag:KEY` and `tag-key` are answered from the object's tags. Each name is looked at, so that a wrong
    /// one is refused also where another filter lets the object fall.
    ///
    /// # Errors
    /// A filter name that is not known.
    pub fn accept(
        &self,
        tags: Option<&BTreeMap<String, String>>,
        values: impl Fn(&str) -> Option<Vec<String>>,
    ) -> Result<bool, AwsError> {
        let mut passes = true;
        for (name, wanted) in &self.0 {
            let has = if let Some(key) = name.strip_prefix("tag:") {
                tags.and_then(|tags| tags.get(key)).cloned().into_iter().collect()
            } else if name == "tag-key" {
                tags.into_iter().flat_map(BTreeMap::keys).cloned().collect()
            } else {
                values(name).ok_or_else(|| invalid(name))?
            };
            passes &= has.iter().any(|value| wanted.iter().any(|pattern| fits(pattern, value)));
        }
        Ok(passes)
    }

    /// Refuses a name that is not among these, for where there may be no object to look at.
    ///
    /// # Errors
    /// A filter name that is not known.
    pub fn check(&self, known: &[&str]) -> Result<(), AwsError> {
        let is_known = |name: &str| name.starts_with("tag:") || name == "tag-key" || known.contains(&name);
        self.0.iter().find(|(name, _)| !is_known(name)).map_or(Ok(()), |(name, _)| Err(invalid(name)))
    }
}

fn invalid(name: &str) -> AwsError {
    AwsError::new("InvalidParameterValue", format!("The filter '{name}' is invalid"))
}

/// EC2's wildcards: `*` for any text, `?` for one character.
fn fits(pattern: &str, text: &str) -> bool {
    fn from(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| from(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && from(rest, &text[1..]),
            Some((one, rest)) => text.first() == Some(one) && from(rest, &text[1..]),
        }
    }
    if !pattern.contains(['*', '?']) {
        return pattern == text;
    }
    from(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// What a call is about: the things with these ids, in order; all where none is named. An id that is not there is left out.
pub fn asked<'a, V>(things: &'a BTreeMap<String, V>, ids: &[String]) -> Vec<(&'a String, &'a V)> {
    if ids.is_empty() {
        return things.iter().collect();
    }
    let ids: BTreeSet<&String> = ids.iter().collect();
    ids.into_iter().filter_map(|id| things.get_key_value(id)).collect()
}

/// One page of the items, and the token of the next. Without `MaxResults` everything up to the largest page is one.
///
/// # Errors
/// A `MaxResults` out of range, a token that is none.
pub fn page<T>(
    input: &Query,
    items: Vec<T>,
    sizes: RangeInclusive<usize>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let size = match input.number("MaxResults")? {
        None => *sizes.end(),
        Some(size) => usize::try_from(size).ok().filter(|size| sizes.contains(size)).ok_or_else(|| {
            let (low, high) = (sizes.start(), sizes.end());
            let message = format!(
                "Value ( {size} ) for parameter maxResults is invalid. Expecting a value between {low} and {high}."
            );
            AwsError::new("InvalidParameterValue", message)
        })?,
    };
    let start = match input.optional("NextToken").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|position| position.parse::<usize>().ok())
            .filter(|position| *position <= items.len())
            .ok_or_else(|| AwsError::new("InvalidNextToken", "The specified pagination token is not valid."))?,
    };
    let total = items.len();
    let some: Vec<T> = items.into_iter().skip(start).take(size).collect();
    let end = start + some.len();
    Ok((some, (end < total).then(|| format!("page-{end}"))))
}

/// Refuses a dry run after everything else was found to be in order.
///
/// # Errors
/// `DryRunOperation`, which is AWS's word for success.
pub fn dry_run(input: &Query) -> Result<(), AwsError> {
    if input.dry_run()? {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(AwsError::new("DryRunOperation", message).status(412));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_know_wildcards_tags_and_what_they_do_not_know() {
        let input = Query::parse(b"Filter.1.Name=instance-type&Filter.1.Value.1=g*&Filter.1.Value.2=p?.x");
        let filters = Filters::read(&input).unwrap();
        let accepts = |value: &str| filters.accept(None, |_| Some(vec![value.to_owned()])).unwrap();
        assert!(accepts("g4dn.xlarge") && accepts("p5.x") && !accepts("p55.x") && !accepts("c5.large"));
        assert_eq!(filters.accept(None, |_| None).unwrap_err().code, "InvalidParameterValue");
        let tagged = Filters::read(&Query::parse(b"Filter.1.Name=tag:a&Filter.1.Value.1=b")).unwrap();
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert!(tagged.accept(Some(&tags), |_| None).unwrap());
        assert!(!tagged.accept(None, |_| None).unwrap());
    }

    #[test]
    fn a_wrong_name_is_refused_also_behind_a_filter_that_nothing_passes_and_where_nothing_is() {
        let input = b"Filter.1.Name=state&Filter.1.Value.1=none&Filter.2.Name=colour&Filter.2.Value.1=red";
        let filters = Filters::read(&Query::parse(input)).unwrap();
        let values = |name: &str| (name == "state").then(|| vec!["available".to_owned()]);
        assert_eq!(filters.accept(None, values).unwrap_err().message, "The filter 'colour' is invalid");
        assert_eq!(filters.check(&["state"]).unwrap_err().code, "InvalidParameterValue");
        assert_eq!(filters.check(&["state", "colour"]), Ok(()));
    }

    #[test]
    fn pages_follow_each_other_and_end() {
        let items: Vec<u32> = (0..12).collect();
        let (first, token) = page(&Query::parse(b"MaxResults=5"), items.clone(), 5..=1000).unwrap();
        assert_eq!(first, [0, 1, 2, 3, 4]);
        let next = format!("MaxResults=10&NextToken={}", token.unwrap());
        assert_eq!(page(&Query::parse(next.as_bytes()), items.clone(), 5..=1000).unwrap(), ((5..12).collect(), None));
        assert!(page(&Query::parse(b"MaxResults=4"), items.clone(), 5..=1000).is_err());
        assert!(page(&Query::parse(b"NextToken=x"), items, 5..=1000).is_err());
    }
}
