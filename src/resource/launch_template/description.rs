//! The description of a template's version, which keeps what the next run must know and AWS has no field for: the fingerprint of
//! the content, the file's `ami` word for word, and what is known of the pinned image.

use super::Desired;
use crate::market::image::Image;
use crate::spec::Gib;

/// What a version keeps of its image beside what launches need, so that the next run need not ask for it: an image never
/// changes, it can only go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) image: String,
    pub(super) architecture: String,
    pub(super) minimum: Gib,
}

/// What a version's description says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) fingerprint: Option<String>,
    pub(super) ami: Option<String>,
    pub(super) kept: Option<Kept>,
}

/// AWS's limit.
const DESCRIPTION: usize = 255;

/// The description of a version: `spotctl FINGERPRINT AMI IMAGE/ARCHITECTURE/MINIMUM`; without the last word where all is too
/// long for AWS, since half of it would be read as another size.
pub(super) fn of(desired: &Desired) -> String {
    let Kept { image, architecture, minimum } = &desired.kept;
    let text = format!("spotctl {} {}", desired.content.fingerprint(desired.which), desired.ami);
    let whole = format!("{text} {image}/{architecture}/{minimum}");
    if whole.chars().count() <= DESCRIPTION { whole } else { text.chars().take(DESCRIPTION).collect() }
}

pub(super) fn parse(description: &str) -> Said {
    let mut words = description.split(' ');
    if words.next() != Some("spotctl") {
        return Said::default();
    }
    let mut next = || words.next().map(str::to_owned);
    Said { fingerprint: next(), ami: next(), kept: next().and_then(|text| Kept::parse(&text)) }
}

impl Kept {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/').map(str::to_owned);
        let (image, architecture) = (parts.next()?, parts.next()?);
        let minimum = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { image, architecture, minimum })
    }

    pub(super) fn image(self, root_device: &str) -> Image {
        Image {
            id: self.image,
            name: String::new(),
            architecture: self.architecture,
            root_device: root_device.to_owned(),
            minimum: self.minimum,
            encrypted_snapshot: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Which;
    use super::super::tests::wish_of;
    use super::*;

    #[test]
    fn the_description_is_read_back() {
        let wish = wish_of("dlami-ubuntu-24.04", false);
        let said = parse(&of(&wish));
        assert_eq!(said.fingerprint, Some(wish.content.fingerprint(Which::Spot)));
        assert_eq!(said.ami.as_deref(), Some("dlami-ubuntu-24.04"));
        assert_eq!(said.kept, Some(wish.kept));
        assert_eq!(parse("made by hand"), Said::default());
        let older = parse("spotctl 0123 dlami-al2023");
        assert_eq!((older.ami.as_deref(), older.kept), (Some("dlami-al2023"), None));
        for wrong in ["ami-1/x86_64", "ami-1/x86_64/lots", "ami-1/x86_64/75GiB/more"] {
            assert_eq!(Kept::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_description_that_would_be_too_long_says_nothing_of_the_image_rather_than_half_of_it() {
        let fits = 255 - of(&wish_of("", false)).len();
        let longest = wish_of(&"s".repeat(fits), false);
        assert_eq!((of(&longest).len(), parse(&of(&longest)).kept), (255, Some(longest.kept)));
        for more in 1..40 {
            let text = of(&wish_of(&"s".repeat(fits + more), false));
            assert!(text.len() <= 255 && parse(&text).kept.is_none(), "{text}");
        }
    }
}
