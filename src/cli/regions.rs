//! `--regions a,b|all`, and AWS in each of them.

use std::str::FromStr;

use crate::cloud::Cloud;
use crate::decide::offers::suggest;
use crate::error::{Error, Result};
use crate::market;

/// Which regions a command looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Regions {
    /// Every region that the account may use.
    All,
    /// These.
    Named(Vec<String>),
}

impl FromStr for Regions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let mut names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err("regions are `all`, or names with commas between, such as us-east-1,eu-central-1".to_owned());
        }
        names.sort();
        names.dedup();
        Ok(Self::Named(names))
    }
}

impl Regions {
    /// AWS in each of them, by name. One call, which says what is enabled: a region that is not would answer with an error
    /// about credentials.
    ///
    /// # Errors
    /// The call's failure; a region that does not exist, or that the account has not enabled.
    pub(crate) async fn clouds(&self, cloud: &Cloud) -> Result<Vec<Cloud>> {
        let enabled = market::regions(cloud).await?;
        let names = match self {
            Self::All => &enabled,
            Self::Named(names) => names,
        };
        if let Some(unknown) = names.iter().find(|name| !enabled.contains(name)) {
            let error =
                Error::usage(format!("the region `{unknown}` does not exist, or this account has not enabled it"))
                    .hint(format!("enabled are {}", enabled.join(", ")));
            return Err(suggest(error, unknown, enabled.iter().map(String::as_str)));
        }
        names.iter().map(|name| cloud.in_region(name)).collect()
    }
}

/// What each region answered, and which failed; all of them side by side.
pub(crate) async fn in_each<T>(
    clouds: &[Cloud],
    work: impl AsyncFn(&Cloud) -> Result<T>,
) -> (Vec<(String, T)>, Vec<(String, Error)>) {
    let answers = futures::future::join_all(clouds.iter().map(|cloud| Box::pin(work(cloud)))).await;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (cloud, answer) in clouds.iter().zip(answers) {
        match answer {
            Ok(answer) => done.push((cloud.region.clone(), answer)),
            Err(error) => failed.push((cloud.region.clone(), error)),
        }
    }
    (done, failed)
}

/// The regions that failed as the command's own failure: the first of them, with the number of the others.
pub(crate) fn failure(mut failed: Vec<(String, Error)>, asked: usize) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    let others = failed.len() - 1;
    let (region, mut error) = failed.swap_remove(0);
    if asked > 1 {
        error.message = format!("{region}: {}", error.message);
    }
    if others > 0 {
        error = error.hint(format!("{others} more of {asked} regions failed; -o json names them"));
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_all_or_a_list_without_holes() {
        assert_eq!("all".parse(), Ok(Regions::All));
        assert_eq!("b-1, a-1,b-1".parse(), Ok(Regions::Named(vec!["a-1".to_owned(), "b-1".to_owned()])));
        for wrong in ["", ",", "a-1,,b-1"] {
            assert!(wrong.parse::<Regions>().is_err(), "{wrong}");
        }
    }
}
